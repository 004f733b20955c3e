"""Perceptual scores of pairs of pictures, each only where its weights were given: LPIPS, CLIP, DINO, and FID of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kyvo.errors import ConfigError
from kyvo.evaluation.results import Figure

Pixels = np.ndarray  # uint8 [height, width, 3]


@dataclass(frozen=True, kw_only=True)
class Networks:
    """Perceptual measures, each only where its weights were given; see `kyvo.metrics.perceptual`."""

    lpips: Callable[[Pixels, Pixels], float] | None = None
    encoders: Mapping[str, Callable[[Sequence[Pixels]], np.ndarray]] = field(default_factory=dict)  # "clip", "dino"
    inception: Callable[[Sequence[Pixels]], np.ndarray] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)  # measure -> name of its weights, for the protocol


def load_networks(
    *,
    lpips_trunk: Path | None = None,
    lpips_heads: Path | None = None,
    lpips_net: str = "alex",
    clip: Path | None = None,
    dino: Path | None = None,
    inception: Path | None = None,
) -> Networks:
    """The measures whose weights are given; without any, torch is not imported.

    Raises:
        ConfigError: one of LPIPS' two files is given without the other.
        CheckpointError: a file or folder is missing, unreadable, or of another network.
    """
    if (lpips_trunk is None) != (lpips_heads is None):
        raise ConfigError(
            "LPIPS needs two files: torchvision's weights of the network (--lpips-trunk) and the layers of the package "
            "lpips (--lpips-heads)."
        )
    if lpips_trunk is None and clip is None and dino is None and inception is None:
        return Networks()
    from kyvo.metrics import perceptual

    sources = {"clip": clip, "dino": dino, "fid": inception}
    named = {name: path.name for name, path in sources.items() if path is not None}
    lpips = None
    if lpips_trunk is not None and lpips_heads is not None:
        lpips = perceptual.Lpips(trunk=lpips_trunk, heads=lpips_heads, net=lpips_net)
        named["lpips"] = f"{lpips_net}: {lpips_trunk.name}, {lpips_heads.name}"
    encoders = {}
    if clip is not None:
        encoders["clip"] = perceptual.clip_encoder(clip)
    if dino is not None:
        encoders["dino"] = perceptual.dino_encoder(dino)
    return Networks(
        lpips=lpips,
        encoders=encoders,
        inception=None if inception is None else perceptual.inception_encoder(inception),
        sources=named,
    )


class PerceptualScores:
    """What the networks say, gathered pair by pair; only features stay in memory."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._inception: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

    def add(self, ours: Pixels, theirs: Pixels) -> dict[str, float]:
        """The scores of one pair: `lpips` of pictures of one size, `clip` and `dino`."""
        scores = {}
        if self._networks.lpips is not None and ours.shape == theirs.shape:
            scores["lpips"] = self._networks.lpips(ours, theirs)
        for name, encode in self._networks.encoders.items():
            from kyvo.metrics.perceptual import cosine

            scores[name] = float(cosine(encode([ours]), encode([theirs]))[0])
        if self._networks.inception is not None:
            for side, picture in zip(self._inception, (ours, theirs), strict=True):
                side.append(self._networks.inception([picture])[0])
        return scores

    def fid(self) -> Figure | None:
        """Without an interval: the distance of resampled sets is biased by the pictures that stand in them twice."""
        if self._networks.inception is None:
            return None
        from kyvo.metrics.perceptual import frechet_distance

        count = len(self._inception[0])
        value = frechet_distance(*(np.stack(side) for side in self._inception)) if count > 1 else None
        return Figure(name="fid", value=value, count=count)
