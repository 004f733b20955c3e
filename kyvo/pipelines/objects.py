"""Objects from a text or a picture: condition -> structure flow -> SLAT flow -> decoders.

Folders are TRELLIS's or of the same layout (`kyvo.pipelines.object_folders`). Nothing is fetched.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kyvo.data.object_pictures import ObjectPicture, read_object_picture
from kyvo.errors import CheckpointError, ConfigError, KyvoError, SceneError
from kyvo.generation.flow_sampler import Constraint, FlowSampler, Progress, seeded_noise
from kyvo.models.flow.load import ConditionEncoder, ConditionKind
from kyvo.models.flow.slat_flow import SLatFlowModel
from kyvo.models.flow.structure_flow import SparseStructureFlowModel
from kyvo.models.heads.turn_head import TurnHead
from kyvo.models.slat.flexicubes import Surface
from kyvo.models.slat.gaussians import Gaussians
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.models.slat.structure import SparseStructureDecoder, SparseStructureEncoder
from kyvo.pipelines.likeness import picture_distance
from kyvo.pipelines.object_folders import find_folder, read_parts, write_parts
from kyvo.shapes.decoding import decode_gaussians, decode_surface

PUBLISHED_CONDITIONS = {
    "picture": "facebook/dinov2-with-registers-large",
    "text": "openai/clip-vit-large-patch14",
}


class ObjectError(KyvoError):
    """An object that was not made."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Condition:
    """What a text or a picture became."""

    tokens: Float[Tensor, "one tokens channels"]
    negative: Float[Tensor, "one tokens channels"]
    warnings: tuple[str, ...] = ()

    def of(self, count: int) -> tuple[Tensor, Tensor]:
        """Both for `count` samples."""
        return self.tokens.expand(count, -1, -1), self.negative.expand(count, -1, -1)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedObject:
    """One sample. Mesh and Gaussians are decoded when they are first asked for."""

    slat: StructuredLatent  # not normalised
    seed: int
    sample: int  # its number among those of the seed
    warnings: tuple[str, ...] = ()
    mesh_decoder: nn.Module | None = field(default=None, repr=False)
    gaussian_decoder: nn.Module | None = field(default=None, repr=False)

    @cached_property
    def mesh(self) -> Surface:
        """Raises ConfigError where the features need a decoder that the folder lacks."""
        return decode_surface(self.slat, self.mesh_decoder)

    @cached_property
    def gaussians(self) -> Gaussians:
        """Raises ConfigError where the features need a decoder that the folder lacks."""
        return decode_gaussians(self.slat, self.gaussian_decoder)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Which samples are drawn, and who watches: the same seed gives the same objects."""

    seed: int = 0
    count: int = 1
    progress: Callable[[Progress], object] | None = None
    cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count is {self.count}; ask for at least 1 object.")

    @property
    def watching(self) -> dict[str, Any]:
        return {"progress": self.progress, "cancelled": self.cancelled}


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectGenerator:
    """The networks of both stages with their samplers.

    Raises:
        CheckpointError: the networks do not fit together.
    """

    structure_decoder: SparseStructureDecoder
    structure_flow: SparseStructureFlowModel
    slat_flow: SLatFlowModel
    encoders: Mapping[ConditionKind, ConditionEncoder]
    slat_mean: Sequence[float]  # of each channel; the SLAT flow works on (feats - mean) / std
    slat_std: Sequence[float]
    structure_sampler: FlowSampler = field(default_factory=FlowSampler)
    slat_sampler: FlowSampler = field(default_factory=FlowSampler)
    structure_encoder: SparseStructureEncoder | None = None  # for regions
    mesh_decoder: nn.Module | None = None
    gaussian_decoder: nn.Module | None = None
    turn_head: TurnHead | None = None  # for scenes: how objects are turned in their pictures
    picture_tries: int = 1  # samples of a picture at least, of which the likest are kept

    def __post_init__(self) -> None:
        structure, slat = self.structure_flow.config, self.slat_flow.config
        found = self.structure_decoder.config
        grid = structure.resolution * found.shrinkage
        if found.latent_channels != structure.out_channels or grid != slat.resolution:
            raise CheckpointError(
                f"The structure flow makes {structure.out_channels} channels and its decoder takes "
                f"{found.latent_channels}; the decoder's grid is {grid} and the SLAT flow's {slat.resolution}. Take "
                "networks of one folder."
            )
        if not len(self.slat_mean) == len(self.slat_std) == slat.out_channels:
            raise CheckpointError(
                f"slat_normalization has {len(self.slat_mean)} means and {len(self.slat_std)} deviations; the SLAT "
                f"flow has {slat.out_channels} channels."
            )
        for kind, encoder in self.encoders.items():
            for name, flow in (("structure", structure), ("SLAT", slat)):
                if encoder.channels != flow.cond_channels:
                    raise CheckpointError(
                        f"The {kind} encoder gives {encoder.channels} channels and the {name} flow takes "
                        f"{flow.cond_channels}; take the encoder that it was trained with."
                    )

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: Path | str,
        *,
        picture_encoder: Path | str | None = None,
        text_encoder: Path | str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> "ObjectGenerator":
        """A folder with `pipeline.json`, such as a local copy of TRELLIS-image-large; or the bundled one of this name.

        Args:
            picture_encoder: a folder of DINOv2 with registers, where `pipeline.json` names none that is there.
            text_encoder: likewise, of CLIP.
            dtype: of the half-precision parts, as in `load_network`.

        Raises:
            CheckpointError: a file is missing, or the networks do not fit together.
        """
        given: dict[ConditionKind, Path | str | None] = {"picture": picture_encoder, "text": text_encoder}
        return cls(**read_parts(find_folder(name_or_folder), encoders=given, device=device, dtype=dtype))

    def save_pretrained(self, folder: Path | str, *, dtype: torch.dtype | None = None) -> None:
        """Writes `pipeline.json` and `ckpts/`. Encoders of published kinds are the user's and are not copied.

        Args:
            dtype: of all weights in the files, as torch.float16; by default as they are in memory.
        """
        write_parts(Path(folder), {item.name: getattr(self, item.name) for item in fields(self)}, dtype=dtype)

    def __call__(self, **inputs: Any) -> GeneratedObject:
        """The first object of `generate`."""
        (made,) = self.generate(**inputs, count=1)
        return made

    def generate(
        self,
        *,
        text: str | None = None,
        image: Path | str | ObjectPicture | None = None,
        mask: Path | str | None = None,
        negative_text: str | None = None,
        count: int = 1,
        seed: int = 0,
        progress: Callable[[Progress], object] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[GeneratedObject]:
        """`count` objects of a text or of a picture; of a picture the likest of at least `picture_tries`, likest first.

        Args:
            image: a file, whose background is removed, or a picture without one.
            mask: light where the object is in the file.
            negative_text: what guidance leads away from, in place of the encoder's own negative.

        Raises:
            ConditionError, ImageError: the text or the picture does not do as a condition.
            ObjectError: a sample is empty.
            Cancelled: `cancelled` said so.
        """
        picture = None if image is None else as_picture(image, mask=mask)
        condition = self.condition(text=text, image=picture, negative_text=negative_text)
        tries = count if picture is None else max(count, self.picture_tries)
        samples = Samples(seed=seed, count=count, progress=progress, cancelled=cancelled)
        structures = self.sample_structure(condition, replace(samples, count=tries), needed=count)
        made = self.sample_details(condition, structures, samples)
        return made if picture is None or tries == 1 else likest(made, picture)[:count]

    def condition(
        self,
        *,
        text: str | None = None,
        image: Path | str | ObjectPicture | None = None,
        mask: Path | str | None = None,
        negative_text: str | None = None,
    ) -> Condition:
        """Raises as `generate` does."""
        if (text is None) == (image is None):
            raise ConfigError("Give a text or an image, one of the two.")
        if image is None:
            encoder: Any = self.encoder("text")
            assert text is not None
            tokens = self._encode(encoder, [text])
            unknown = encoder.unknown_words(text)
            warnings = (f"words that the model has never seen: {', '.join(unknown)}",) if unknown else ()
        else:
            encoder = self.encoder("picture")
            picture = as_picture(image, mask=mask)
            device = next(encoder.parameters()).device
            tokens, warnings = self._encode(encoder, picture.pixels(encoder.picture_size)[None].to(device)), ()
        if negative_text is None:
            negative = self._encode(encoder.negative, tokens)
        elif image is None:
            negative = self._encode(encoder, [negative_text])
        else:
            raise ConfigError("negative_text goes with a text; a picture's negative is the encoder's own.")
        return Condition(tokens=tokens, negative=negative, warnings=warnings)

    @torch.inference_mode()
    def _encode(self, encoder: Callable[[Any], Tensor], given: Any) -> Tensor:
        return encoder(given)

    def encoder(self, kind: ConditionKind) -> ConditionEncoder:
        """Raises ConfigError where it has none of this kind."""
        if kind not in self.encoders:
            raise ConfigError(
                f"This generator has no {kind} encoder; it takes {' and '.join(self.encoders) or 'no condition'}. For "
                f"TRELLIS's, give {kind}_encoder=<folder of {PUBLISHED_CONDITIONS[kind]}> to from_pretrained."
            )
        return self.encoders[kind]

    def sample_structure(
        self,
        condition: Condition,
        samples: Samples,
        *,
        needed: int | None = None,
        noise: Tensor | None = None,
        **sampling: Any,
    ) -> list[Tensor]:
        """Active cells, int64 [cells, 3], of each sample.

        A sample that has none at the sampler's temperature is the one of temperature 1: a condition that says little
        may leave too little of colder noise.

        Args:
            needed: samples that have to have cells, by default all; others that have none are left out.
            noise: the state to begin with, in place of what the seed gives.
            sampling: `start` and `constraint` of `FlowSampler.sample`.
        """
        found = self._structures(condition, samples, noise=noise, **sampling)
        if self.structure_sampler.temperature < 1 and not all(map(len, found)):
            plain = replace(self, structure_sampler=replace(self.structure_sampler, temperature=1.0))
            again = plain._structures(condition, samples, noise=noise, **sampling)
            found = [cells if len(cells) else other for cells, other in zip(found, again, strict=True)]
        whole = [cells for cells in found if len(cells)]
        if len(whole) < (len(found) if needed is None else needed):
            index = next(index for index, cells in enumerate(found) if not len(cells))
            raise ObjectError(f"Sample {index} of seed {samples.seed} has no cell. Take another seed or text.")
        return whole

    @torch.inference_mode()
    def _structures(self, condition: Condition, samples: Samples, **sampling: Any) -> list[Tensor]:
        """The cells of each sample; some may have none."""
        voxels = self.structure_decoder.decode(self.sample_structure_latents(condition, samples, **sampling))
        return [voxels.coords[voxels.coords[:, 0] == index, 1:] for index in range(samples.count)]

    def sample_structure_latents(
        self, condition: Condition, samples: Samples, *, noise: Tensor | None = None, **sampling: Any
    ) -> Float[Tensor, "batch channels x y z"]:
        """The structure flow's latents."""
        if noise is None:
            noise = self.structure_noise(samples)
        tokens, negative = condition.of(samples.count)

        def velocity(x: Tensor, t: float, context: Tensor) -> Tensor:
            return self.structure_flow(x, x.new_full((samples.count,), t), context)

        return self.structure_sampler.sample(
            velocity, noise, condition=tokens, negative=negative, stage="structure", **sampling, **samples.watching
        )

    def structure_noise(self, samples: Samples) -> Float[Tensor, "batch channels x y z"]:
        config = self.structure_flow.config
        shape = (config.in_channels, *[config.resolution] * 3)
        return torch.stack(seeded_noise([shape] * samples.count, seed=samples.seed)).to(self._device)

    def sample_details(
        self,
        condition: Condition,
        structures: Sequence[Tensor],
        samples: Samples,
        *,
        noise: Tensor | None = None,
        start: float = 1.0,
        constraint: Constraint | None = None,
    ) -> list[GeneratedObject]:
        """An object of each structure: cells, int64 [cells, 3]."""
        structures = [cells.to(self._device) for cells in structures]
        voxels = pack_cells(structures, resolution=self.slat_flow.config.resolution)
        if noise is None:
            noise = self.detail_noise(structures, samples)
        tokens, negative = condition.of(len(structures))

        def velocity(x: Tensor, t: float, context: Tensor) -> Tensor:
            times = x.new_full((len(structures),), t)
            return self.slat_flow(SparseTensor(voxels=voxels, feats=x), times, context)

        feats = self.slat_sampler.sample(
            velocity,
            noise,
            condition=tokens,
            negative=negative,
            start=start,
            constraint=constraint,
            stage="details",
            **samples.watching,
        )
        feats = self.to_features(feats).cpu()
        latents = feats.split([len(cells) for cells in structures])
        return [
            self.as_object(cells, latent, seed=samples.seed, sample=index, warnings=condition.warnings)
            for index, (cells, latent) in enumerate(zip(structures, latents, strict=True))
        ]

    def as_object(
        self, cells: Tensor, feats: Tensor, *, seed: int, sample: int = 0, warnings: tuple[str, ...] = ()
    ) -> GeneratedObject:
        """An object of features that are not normalised."""
        return GeneratedObject(
            slat=StructuredLatent(coords=cells.cpu(), feats=feats, resolution=self.slat_flow.config.resolution),
            seed=seed,
            sample=sample,
            warnings=warnings,
            mesh_decoder=self.mesh_decoder,
            gaussian_decoder=self.gaussian_decoder,
        )

    def detail_noise(self, structures: Sequence[Tensor], samples: Samples) -> Float[Tensor, "cells channels"]:
        """Apart from the structures' noise, which has the same seed."""
        shapes = [(len(cells), self.slat_flow.config.in_channels) for cells in structures]
        return torch.cat(seeded_noise(shapes, seed=samples.seed, first=1 << 20)).to(self._device)

    def to_features(self, values: Float[Tensor, "cells channels"]) -> Float[Tensor, "cells channels"]:
        """From the scale of the SLAT flow to that of decoders and files."""
        return values * values.new_tensor(self.slat_std) + values.new_tensor(self.slat_mean)

    def from_features(self, feats: Float[Tensor, "cells channels"]) -> Float[Tensor, "cells channels"]:
        """Inverse of `to_features`."""
        return (feats - feats.new_tensor(self.slat_mean)) / feats.new_tensor(self.slat_std)

    @property
    def _device(self) -> torch.device:
        return self.slat_flow.out_layer.weight.device


def pack_cells(structures: Sequence[Tensor], *, resolution: int) -> Voxels:
    """Several objects' cells as one batch."""
    rows = [nn.functional.pad(cells, (1, 0), value=index) for index, cells in enumerate(structures)]
    return Voxels(coords=torch.cat(rows), resolution=resolution, batch_size=len(structures))


def as_picture(image: Path | str | ObjectPicture, *, mask: Path | str | None = None) -> ObjectPicture:
    """A file's object, or the picture as it is. Raises ImageError as `read_object_picture` does."""
    return image if isinstance(image, ObjectPicture) else read_object_picture(image, mask=mask)


def likest(made: Sequence[GeneratedObject], picture: ObjectPicture) -> list[GeneratedObject]:
    """The objects that look most like the picture first; those without a surface last."""

    def distance(item: GeneratedObject) -> float:
        try:
            return picture_distance(item.mesh, picture)
        except SceneError:
            return math.inf

    return sorted(made, key=distance)
