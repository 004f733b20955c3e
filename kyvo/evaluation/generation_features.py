"""Feature metrics of generated objects: FD and KD of two sets, cosine similarity of pairs, CLIP score of texts.

Each object is seen from the same four sides. FD and KD compare the features of all views of what was made with those of
the held-out objects; similarity is the cosine of the same view of a pair; CLIP's score is a view's with the caption.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from kyvo.data.meshes.assets import Asset
from kyvo.data.object_pictures import ObjectPicture, cut_out
from kyvo.errors import ConfigError, ImageError
from kyvo.metrics.perceptual import (
    clip_encoder,
    clip_text_encoder,
    cosine,
    dino_encoder,
    frechet_distance,
    kernel_distance,
)
from kyvo.models.flow.small_encoders import SmallPictureEncoder
from kyvo.shapes.pictures import TURNS, side_camera
from kyvo.shapes.views import MeshViews

SIZE = 224  # px of a view before it is cut out; CLIP's and DINO's size

Views = Sequence[ObjectPicture]
Features = Float[np.ndarray, "views features"]
Encoder = Callable[[Views], Features]


@dataclass(frozen=True, kw_only=True)
class FeatureEncoders:
    """Those that are given, by name; without any there are no such figures."""

    pictures: Mapping[str, Encoder] = field(default_factory=dict)
    texts: Callable[[Sequence[str]], Features] | None = None  # CLIP's, beside its pictures
    sources: Mapping[str, str] = field(default_factory=dict)  # by name, the folder's


def load_encoders(
    *, own: nn.Module | None = None, name: str = "", clip: Path | None = None, dino: Path | None = None
) -> FeatureEncoders:
    """
    Args:
        own: a generator's small picture encoder; `name` is the generator's, for the protocol.
        clip, dino: folders of transformers.

    Raises:
        CheckpointError: a folder is missing, or holds another network.
        ConfigError: `own` is another encoder.
    """
    found: dict[str, Encoder] = {}
    sources = {"CLIP": clip, "DINO": dino}
    if own is not None:
        found["own"] = own_encoder(own)
    if clip is not None:
        found["CLIP"] = _on_white(clip_encoder(clip))
    if dino is not None:
        found["DINO"] = _on_white(dino_encoder(dino))
    return FeatureEncoders(
        pictures=found,
        texts=None if clip is None else clip_text_encoder(clip),
        sources=({} if own is None else {"own": name})
        | {role: path.name for role, path in sources.items() if path is not None},
    )


def own_encoder(network: nn.Module) -> Encoder:
    """A generator's small picture encoder: the mean of its tokens. Raises ConfigError for another network."""
    if not isinstance(network, SmallPictureEncoder):
        raise ConfigError("the generator has no small picture encoder; give its DINOv2 by --dino instead.")
    device = next(network.parameters()).device

    def encode(views: Views) -> Features:
        with torch.inference_mode():
            pixels = torch.stack([view.pixels(network.picture_size) for view in views]).to(device)
            return network(pixels).mean(1).double().cpu().numpy()

    return encode


def _on_white(encode: Callable[[Sequence[np.ndarray]], Features]) -> Encoder:
    def run(views: Views) -> Features:
        pictures = []
        for view in views:
            alpha = view.rgba[..., 3:].astype(float) / 255
            pictures.append(np.round(view.rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
        return encode(pictures)

    return run


def object_views(mesh: Asset) -> list[ObjectPicture]:
    """The mesh in the cube from four sides. Raises ImageError where one shows nothing."""
    cast = MeshViews(mesh)
    pictures = (cast.picture(side_camera(turn, size=SIZE), samples=1) for turn in TURNS)
    return [cut_out(np.round(255 * picture).astype(np.uint8)) for picture in pictures]


def encode_views(encoders: FeatureEncoders, objects: Sequence[tuple[str, Asset]]) -> dict[str, dict[str, Features]]:
    """Of each encoder, features [views, features] of each object by its name; those that show nothing are left out."""
    found: dict[str, dict[str, Features]] = {name: {} for name in encoders.pictures}
    for key, mesh in objects:
        try:
            views = object_views(mesh)
        except ImageError:
            continue
        for name, encode in encoders.pictures.items():
            found[name][key] = encode(views)
    return found


def set_distances(ours: Mapping[str, Features], theirs: Mapping[str, Features]) -> dict[str, float]:
    """FD and KD over all views; none where a set is empty."""
    if not ours or not theirs:
        return {}
    pair = [np.concatenate(list(some.values())) for some in (ours, theirs)]
    return {"FD": frechet_distance(*pair), "KD": kernel_distance(*pair)}


def pair_similarity(ours: Features, theirs: Features) -> float:
    """Mean cosine of the same views."""
    return float(cosine(ours, theirs).mean())


def text_score(views: Features, text: Float[np.ndarray, "one features"]) -> float:
    """100 times the mean cosine of the views with a text's features [1, features] (https://arxiv.org/abs/2104.08718,
    without its scale)."""
    return float(100 * cosine(views, np.repeat(text, len(views), axis=0)).mean())
