"""What the flow recipe minimises for scenes: flow matching of all items of a scene at one time, and SceneGen's poses.

SceneGen: CFM + lambda (position + collision), lambda falling from 1 by 0.99 an epoch to no less than 0.2
(https://arxiv.org/abs/2508.15769). I-Scene: CFM of the scene and of its instances (https://arxiv.org/abs/2512.13683).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from kyvo.errors import ConfigError
from kyvo.models.flow.block import FlowModel
from kyvo.models.flow.iscene import ISceneFlowModel
from kyvo.models.flow.load import ConditionKind
from kyvo.models.flow.path import add_noise, velocity_target
from kyvo.models.flow.scene_losses import collision_loss, pose_loss
from kyvo.models.flow.scenegen import SceneGenFlowModel, SceneVelocity
from kyvo.models.slat.structure import SparseStructureEncoder
from kyvo.shapes.flow_args import FlowArgs
from kyvo.shapes.scene_flow_data import MAX_ASSETS, AssetItems, Items, SceneItems, SceneRows, TextItems

SCENE_FLOWS = (SceneGenFlowModel, ISceneFlowModel)
POSE_DECAY, LEAST_POSE_WEIGHT = 0.99, 0.2  # an epoch


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneObjective:
    """The loss of scenes of some sets.

    Args:
        encoders: of `picture`, each object's crop as the object's flow takes it; of `scene`; and of `geometry`, a
            network whose tokens the scene's encoder takes, where it was made for one. Or of `text`; or of all.
    """

    rows: SceneRows
    args: FlowArgs
    structure_encoder: SparseStructureEncoder
    encoders: dict[str, Any]
    device: torch.device

    def __post_init__(self) -> None:
        for kind in ("picture", "scene"):
            if kind not in self.encoders and self.encoders.keys() != {"text"}:
                raise ConfigError(
                    f"conditions.{kind} is missing; a flow over scenes has picture and scene, or, of I-Scene, text."
                )

    def sizes(self, model: FlowModel) -> list[int]:
        """Items of each scene. Raises ConfigError where a scene has more than a batch."""
        if isinstance(model, SceneGenFlowModel):
            if "text" in self.encoders:
                raise ConfigError("conditions.text is for I-Scene; SceneGen has picture and scene.")
            sizes = [min(count, MAX_ASSETS) for count in self.rows.num_objects]
        else:
            sizes = [1 + count for count in self.rows.num_objects]
        if max(sizes, default=0) > self.args.batch_size:
            raise ConfigError(
                f"A scene has {max(sizes)} items and train.batch_size is {self.args.batch_size}; raise it, or make the "
                "set with a smaller --max-objects."
            )
        return sizes

    def loss(
        self,
        model: FlowModel,
        scenes: Sequence[int],
        *,
        rng: np.random.Generator,
        generator: torch.Generator,
        epoch: int,
        kind: ConditionKind = "picture",
    ) -> tuple[Tensor, dict[str, float], int]:
        """Of a batch of scenes: the loss, its parts by name, and latents seen.

        Args:
            kind: of the condition.
        """
        items = self._items(model, scenes, rng=rng, kind=kind)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.precision == "bf16"):
            data = self.latents(items)
            noise = torch.randn(data.shape, generator=generator).to(self.device)
            # All items of a scene are at one time, as they are when they are sampled.
            first, scene = items.scene_of.unique(return_inverse=True)
            normal = torch.randn(len(first), generator=generator)
            t = (self.args.time_mean + self.args.time_std * normal).sigmoid()[scene].to(self.device)
            dropped = (torch.rand(len(first), generator=generator) < self.args.condition_dropout)[scene]
            contexts = self.contexts(items, dropped=dropped)
            said = self.said(model, items, contexts, add_noise(data, noise, t[:, None, None, None, None]), t)
        target = velocity_target(data, noise)
        seen = target.numel() // model.config.in_channels
        if isinstance(said, Tensor):
            return F.mse_loss(said.float(), target), {}, seen
        assert isinstance(items, AssetItems) and isinstance(model, SceneGenFlowModel)
        matching = F.mse_loss(said.velocity.float(), target)
        pose, collision = self._placing(said.poses.float(), items, model.posed(items.is_query))
        weight = max(LEAST_POSE_WEIGHT, POSE_DECAY**epoch)
        parts = {"flow": matching.item(), "pose": pose.item(), "collision": collision.item()}
        loss = matching + weight * (self.args.pose_weight * pose + self.args.collision_weight * collision)
        return loss, parts, seen

    def _items(
        self, model: FlowModel, scenes: Sequence[int], *, rng: np.random.Generator, kind: ConditionKind
    ) -> Items:
        if kind == "text":
            return self.rows.described(scenes, rng)
        size = self.encoders["picture"].picture_size
        if isinstance(model, SceneGenFlowModel):
            return self.rows.assets(scenes, rng, crop_size=size, picture_size=size, pose_frame=model.config.pose_frame)
        return self.rows.instances(scenes, crop_size=size, picture_size=size)

    @torch.no_grad()
    def latents(self, items: Items) -> Float[Tensor, "items channels x y z"]:
        """What the flow ends at, of each item."""
        mean, _ = self.structure_encoder(items.occupancy.to(self.device))
        return mean.float()

    def contexts(self, items: Items, *, dropped: Bool[Tensor, " items"] | None = None) -> list[Tensor]:
        """Tokens of each item's text; or of its crop, and of the scene as it sees it. Each [items, tokens, channels].

        Args:
            dropped: items that get the negative tokens in their place.
        """
        if isinstance(items, TextItems):
            tokens = {"text": self.encoders["text"](items.texts)}
        else:
            assert isinstance(items, SceneItems)
            tokens = _picture_tokens(self.encoders, items, device=self.device)
        if dropped is None:
            return list(tokens.values())
        dropped = dropped.to(self.device)[:, None, None]
        return [torch.where(dropped, self.encoders[kind].negative(of), of) for kind, of in tokens.items()]

    def said(
        self,
        model: FlowModel,
        items: Items,
        contexts: Sequence[Tensor],
        noisy: Float[Tensor, "items channels x y z"],
        t: Float[Tensor, " items"],
    ) -> Float[Tensor, "items channels x y z"] | SceneVelocity:
        """The flow's velocities of noisy items under their contexts; of SceneGen, with its poses."""
        scene_of = items.scene_of.to(self.device)
        if isinstance(model, ISceneFlowModel):
            return model(noisy, t, torch.cat(tuple(contexts), dim=1), scene_of)
        assert isinstance(model, SceneGenFlowModel) and isinstance(items, AssetItems)
        return model(noisy, t, *contexts, scene_of, items.is_query.to(self.device))

    def _placing(self, poses: Tensor, items: AssetItems, posed: Tensor) -> tuple[Tensor, Tensor]:
        true, size = items.poses[posed].to(self.device), items.scene_size[posed].to(self.device)
        pose = pose_loss(poses[posed.to(self.device)], true, size)
        if not self.args.collision_weight:
            return pose, pose.new_zeros(())
        return pose, collision_loss(items.points.to(self.device), poses, items.scene_of.to(self.device))


def _picture_tokens(encoders: dict[str, Any], items: SceneItems, *, device: torch.device) -> dict[str, Tensor]:
    crops, pictures, masks = (part.to(device) for part in (items.crops, items.pictures, items.masks))
    geometry = None
    if "geometry" in encoders:  # of each scene's picture, once
        first, scene = items.scene_of.to(device).unique(return_inverse=True)
        geometry = encoders["geometry"](pictures[first][:, None])[:, 0][scene]
    return {
        "picture": encoders["picture"](crops),
        "scene": encoders["scene"](pictures, masks, encoders["picture"], geometry),
    }
