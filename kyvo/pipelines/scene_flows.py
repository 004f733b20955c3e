"""The two methods that make all objects of a picture together: SceneGen's and I-Scene's.

Both make structures by a flow of their own, with the samplers, decoders and second stage of an `ObjectGenerator`. A
method's folder is what recipes/flow.py writes: `flow` and `scene_encoder`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kyvo.data.scene_pictures import ScenePicture
from kyvo.errors import CheckpointError
from kyvo.generation.flow_sampler import seeded_noise
from kyvo.models.flow.conditions import TextCondition
from kyvo.models.flow.iscene import ISceneFlowModel
from kyvo.models.flow.load import load_condition
from kyvo.models.flow.scene_encoder import SceneEncoder
from kyvo.models.flow.scenegen import SceneGenFlowModel
from kyvo.models.flow.small_encoders import SmallTextEncoder
from kyvo.models.slat.load import load_network
from kyvo.models.vggt import VggtAggregator
from kyvo.pipelines.objects import Condition, GeneratedObject, ObjectGenerator, Samples
from kyvo.pipelines.placement import fit_to_masks
from kyvo.pipelines.scenes import (
    MadeObjects,
    SceneMethod,
    add_details,
    add_details_to_tries,
    crop_tokens,
    decode_cells,
    left_out,
    num_tries,
)
from kyvo.pipelines.turns import find_likest
from kyvo.scene.pose import Pose
from kyvo.shapes.placed import PlacedObject
from kyvo.shapes.scene_texts import SceneText


@dataclass(frozen=True, kw_only=True, eq=False)
class _SceneFlow(SceneMethod):
    """A flow over the items of a scene, its encoder, and the generator that it was trained beside."""

    flow: Any
    encoder: SceneEncoder
    objects: ObjectGenerator
    geometry: VggtAggregator | None = None  # where the encoder takes its tokens

    network: ClassVar[type]

    def __post_init__(self) -> None:
        found, own = self.flow.config, self.objects.structure_flow.config
        for what in ("resolution", "in_channels", "cond_channels"):
            if getattr(found, what) != getattr(own, what):
                raise CheckpointError(
                    f"The {self.name} flow has {what} {getattr(found, what)} and the generator of objects "
                    f"{getattr(own, what)}; give the generator that it was trained beside."
                )

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: Path | str = "mini",
        *,
        objects: ObjectGenerator | Path | str = "mini",
        geometry: Path | str | None = None,
    ) -> Any:
        """The folder of a training's model, or a folder with one of the method's name in it, or a bundled one's name.

        Args:
            objects: the generator that the flow was trained beside, or what `ObjectGenerator.from_pretrained` takes.
            geometry: a folder of VGGT, where the flow was trained with one.

        Raises:
            CheckpointError: there is none, or its networks are others.
        """
        folder = find_scene_flow(name_or_folder, cls.name)
        if not isinstance(objects, ObjectGenerator):
            objects = ObjectGenerator.from_pretrained(objects)
        flow = load_network(folder / "flow", base=objects.structure_flow)
        encoder = load_network(folder / "scene_encoder")
        if not isinstance(flow, cls.network) or not isinstance(encoder, SceneEncoder):
            raise CheckpointError(
                f"{folder} has a {type(flow).__name__} and a {type(encoder).__name__}; the method {cls.name} takes a "
                f"{cls.network.__name__} and a SceneEncoder."
            )
        if (folder / "picture_encoder.json").is_file():
            raise CheckpointError(
                f"{folder} has a picture encoder of its own, which the generator of objects does not know. Train the "
                "flow again with conditions.picture: <the path of the generator's picture encoder>."
            )
        network = None if geometry is None else VggtAggregator.from_folder(geometry)
        return cls(flow=flow, encoder=encoder, objects=objects, geometry=network)

    @torch.inference_mode()
    def scene_tokens(self, views: Sequence[ScenePicture], *, whole: bool = False) -> list[Tensor]:
        """The scene's features as each object sees it, of each view.

        Args:
            whole: before the objects' come those of a mask that shows everything.
        """
        size = self.picture_encoder.picture_size
        device = next(self.encoder.parameters()).device
        pixels = torch.stack([view.pixels(size).to(device) for view in views])
        # The geometry network sees all views together.
        geometry = [None] * len(views) if self.geometry is None else self.geometry(pixels[None])[0]
        found = []
        for view, picture, seen in zip(views, pixels, geometry, strict=True):
            masks = view.mask_pixels(size).to(device)
            masks = torch.cat([torch.ones_like(masks[:1]), masks]) if whole else masks
            count = len(masks)
            shared = None if seen is None else seen.expand(count, -1, -1)
            found.append(self.encoder(picture.expand(count, -1, -1, -1), masks, self.picture_encoder, shared))
        return found

    @property
    def picture_encoder(self) -> Any:
        """The generator's, for crops and for the views of the scene."""
        return self.objects.encoders["picture"]

    def noise(self, count: int, samples: Samples) -> Tensor:
        """Of `count` items; an item's noise is set by the seed and its number alone."""
        config = self.flow.config
        shape = (config.in_channels, *[config.resolution] * 3)
        return torch.stack(seeded_noise([shape] * count, seed=samples.seed)).to(next(self.flow.parameters()).device)


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneGen(_SceneFlow):
    """All assets together, with poses relative to the one with the largest mask, or in the scene's cube.

    Of several views, each has its features; velocities and poses are averaged over them at every step. Surfaces are
    made from the first.

    In the scene's cube all objects are made several times. Of each the one is kept that looks most like its crop, and
    places are the means of all; then they are fitted to the masks.
    """

    flow: SceneGenFlowModel

    name: ClassVar[str] = "scenegen"
    takes_views: ClassVar[bool] = True
    network: ClassVar[type] = SceneGenFlowModel

    @property
    def axes(self) -> str:  # type: ignore[override]
        return self.flow.config.pose_frame

    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        views = (picture, *picture.others)
        crops = [crop_tokens(self.objects, view) for view in views]
        query = int(picture.masks.sum((1, 2)).argmax())
        latents, poses = self._sample(views, crops, query, samples)
        found, faults = add_details_to_tries(self.objects, crops[0], latents, samples)
        objects = [
            self._placed(made, picture, index, crops[0].tokens[index], Pose.from_vector(poses[index].tolist()))
            for index, made in found.items()
        ]
        if objects and self.axes == "view":
            objects = fit_to_masks(objects, picture.masks[list(found)])
        return MadeObjects(objects=objects, query=picture.names[query], warnings=left_out(faults, picture.names))

    def _sample(
        self, views: Sequence[ScenePicture], crops: Sequence[Condition], query: int, samples: Samples
    ) -> tuple[Tensor, Float[Tensor, "assets 8"]]:
        """Latents of the structures, of all objects once and again, and the mean poses."""
        count = len(views[0])
        tries = num_tries(count) if self.axes == "view" else 1
        seen = [
            (own.tokens.repeat(tries, 1, 1), scene.repeat(tries, 1, 1))
            for own, scene in zip(crops, self.scene_tokens(views), strict=True)
        ]
        scene = seen[0][1]
        is_query = (torch.arange(count, device=scene.device) == query).repeat(tries)
        scene_of = torch.arange(tries, device=scene.device).repeat_interleave(count)
        poses = torch.zeros(tries * count, 8)

        def velocity(x: Tensor, t: float, contexts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
            nonlocal poses
            said = [self.flow(x, x.new_full((len(x),), t), *context, scene_of, is_query) for context in contexts]
            if contexts is seen:  # the poses of the last step under the condition are kept
                poses = mean_poses(torch.stack([one.poses.float().cpu() for one in said]))
            return torch.stack([one.velocity for one in said]).mean(0)

        latents = self.objects.structure_sampler.sample(
            velocity,
            self.noise(tries * count, samples),
            condition=seen,
            negative=[(crops[0].negative.repeat(tries, 1, 1), self.encoder.negative(scene))],
            stage="structure",
            **samples.watching,
        )
        return latents, mean_poses(poses.unflatten(0, (tries, count)))

    def _placed(
        self, made: Sequence[GeneratedObject], picture: ScenePicture, index: int, tokens: Tensor, pose: Pose
    ) -> PlacedObject:
        """Of several objects of one crop the likest, where the head puts it."""
        item = made[0]
        if self.axes == "view":  # the head says no turns there: their mean over all objects is best for its loss
            item, turn = find_likest(self.objects, made, picture.crop(index), tokens)
            pose = Pose.of_turn(turn, translation=pose.translation, scale=pose.scale)
        return PlacedObject(name=picture.names[index], surface=item.mesh, pose=pose, latent=item.slat)


@dataclass(frozen=True, kw_only=True, eq=False)
class _InSceneCube(_SceneFlow):
    """I-Scene's sampling: the scene's structure and each object's, all in the scene's cube."""

    flow: ISceneFlowModel

    name: ClassVar[str] = "iscene"
    axes: ClassVar[str] = "view"
    network: ClassVar[type] = ISceneFlowModel

    def _structures(self, seen: Tensor, negative: Tensor, samples: Samples) -> list[Tensor]:
        """Cells of each object, under contexts of which the first is the scene's."""
        scene_of = torch.zeros(len(seen), dtype=torch.long, device=seen.device)

        def velocity(x: Tensor, t: float, context: Tensor) -> Tensor:
            return self.flow(x, x.new_full((len(seen),), t), context, scene_of)

        latents = self.objects.structure_sampler.sample(
            velocity,
            self.noise(len(seen), samples),
            condition=seen,
            negative=negative,
            stage="structure",
            **samples.watching,
        )
        return decode_cells(self.objects, latents)[1:]

    def _made(
        self, condition: Condition, structures: Sequence[Tensor], names: Sequence[str], samples: Samples
    ) -> MadeObjects:
        """The objects where their cells are."""
        made, faults = add_details(self.objects, condition, structures, samples)
        objects = [
            PlacedObject.of_scene_surface(item.mesh, name=names[index], scene=Pose()) for index, item in made.items()
        ]
        return MadeObjects(objects=objects, warnings=left_out(faults, names))


@dataclass(frozen=True, kw_only=True, eq=False)
class IScene(_InSceneCube):
    """The scene's structure and each object's in the same cube: an object stands where its cells are."""

    def make(self, picture: ScenePicture, samples: Samples) -> MadeObjects:
        crops = crop_tokens(self.objects, picture)
        own = torch.cat([self._whole(picture), crops.tokens])  # the whole picture in the place of the scene's crop
        seen = torch.cat([own, *self.scene_tokens([picture], whole=True)], dim=1)
        structures = self._structures(seen, torch.zeros_like(seen), samples)
        return self._made(crops, structures, picture.names, samples)

    @torch.inference_mode()
    def _whole(self, picture: ScenePicture) -> Tensor:
        device = next(self.encoder.parameters()).device
        return self.picture_encoder(picture.pixels(self.picture_encoder.picture_size)[None].to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class ISceneFromText(_InSceneCube):
    """I-Scene under texts: the scene branch has the whole text, and each object what the text says of it.

    `encoder` is that of texts which was trained with the flow; surfaces are made under the generator's own.
    """

    encoder: SmallTextEncoder | TextCondition  # type: ignore[assignment]

    takes_text: ClassVar[bool] = True

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        name_or_folder: Path | str,
        *,
        objects: ObjectGenerator | Path | str = "mini",
        text_encoder: Path | str | None = None,
    ) -> "ISceneFromText":
        """As of `IScene`.

        Args:
            text_encoder: a folder of CLIP, where the flow was trained with one.

        Raises:
            CheckpointError: there is none, or it was not trained on texts.
        """
        folder = find_scene_flow(name_or_folder, cls.name) if text_encoder else find_text_flow(name_or_folder)
        own = folder / "text_encoder"
        if not isinstance(objects, ObjectGenerator):
            objects = ObjectGenerator.from_pretrained(objects)
        encoder: Any = load_condition("text", own if text_encoder is None else text_encoder)
        return cls(flow=load_network(folder / "flow", base=objects.structure_flow), encoder=encoder, objects=objects)

    def make(self, picture: SceneText, samples: Samples) -> MadeObjects:  # type: ignore[override]
        text = picture
        seen = self._tokens([text.text, *text.phrases])
        structures = self._structures(seen, self.encoder.negative(seen), samples)
        own = [self.objects.condition(text=phrase) for phrase in text.phrases]
        condition = Condition(
            tokens=torch.cat([one.tokens for one in own]), negative=torch.cat([one.negative for one in own])
        )
        made = self._made(condition, structures, text.names, samples)
        unknown = self.encoder.unknown_words(text.text)
        said = [f"words that the scene's model has never seen: {', '.join(unknown)}"] if unknown else []
        return replace(made, warnings=[*said, *made.warnings])

    @torch.inference_mode()
    def _tokens(self, texts: Sequence[str]) -> Tensor:
        return self.encoder(texts)


def mean_poses(poses: Float[Tensor, "views assets 8"]) -> Float[Tensor, "assets 8"]:
    """Of several views: means of translation and scale, and of quaternions, of which q and -q are one turn."""
    place, turn, scale = poses.split([3, 4, 1], dim=2)
    facing = (turn * turn[:1]).sum(2, keepdim=True) < 0
    turn = F.normalize(torch.where(facing, -turn, turn).mean(0), dim=1)
    return torch.cat([place.mean(0), turn, scale.mean(0)], dim=1)


def find_text_flow(name_or_folder: Path | str) -> Path:
    """The folder of an I-Scene that was trained on texts with an encoder of its own, as of `find_scene_flow`."""
    folder = find_scene_flow(name_or_folder, IScene.name)
    if not (folder / "text_encoder.json").is_file():
        raise CheckpointError(
            f"{folder} has no text_encoder: its flow was not trained on texts. Train one with "
            "configs/flow/iscene_text_mini.yaml (docs/scenes.md says how)."
        )
    return folder


def find_scene_flow(name_or_folder: Path | str, method: str) -> Path:
    """The folder of a method's flow: itself, one of the method's name in it, or in the bundled `scenes_<name>`.

    Raises:
        CheckpointError: there is none.
    """
    assets = Path(str(files("kyvo"))) / "assets"
    given, bundled = Path(name_or_folder), assets / f"scenes_{name_or_folder}"
    for folder in (given, bundled):
        for place in (folder / method, folder):
            if (place / "flow.json").is_file():
                return place
    names = ", ".join(sorted(path.name.removeprefix("scenes_") for path in assets.glob("scenes_*"))) or "none yet"
    if found := next((folder for folder in (given, bundled) if folder.is_dir()), None):
        others = ", ".join(sorted(path.parent.name for path in found.glob("*/flow.json"))) or "none"
        raise CheckpointError(
            f"{found} has no flow of {method}: neither {method}/flow.json nor flow.json is there. Flows that it has: "
            f"{others}. Give a folder that a training of recipes/flow.py wrote (docs/scenes.md says how)."
        )
    raise CheckpointError(
        f"{name_or_folder}: no folder, and no bundled scene flow of this name; bundled are {names}. Give a folder that "
        "a training of recipes/flow.py wrote (docs/scenes.md says how)."
    )
