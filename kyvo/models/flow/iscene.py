"""I-Scene's structure flow: a scene and its instances, by one set of weights (https://arxiv.org/abs/2512.13683).

The scene branch makes the structure of the whole scene; the instance branch makes that of each object, in the same
cube and the same axes, so that its place is where its cells are. In scene-context attention the tokens of an instance
also see those of its scene. The tensors are those of `SparseStructureFlowModel`: its weights are a start.
"""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from kyvo.models.flow.structure_flow import SparseStructureFlowModel


class ISceneFlowModel(SparseStructureFlowModel):
    """Velocities of scenes and of instances; which is which is said by `scene_of`."""

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "items channels x y z"],
        t: Float[Tensor, " items"],
        context: Float[Tensor, "items length cond"],
        scene_of: Int[Tensor, " items"],
    ) -> Float[Tensor, "items out x y z"]:
        """
        Args:
            t: in [0, 1].
            scene_of: the item that is each item's scene; a scene is its own.

        Raises:
            ConfigError: inputs of other sizes than the network's.
        """
        attend = partial(scene_context_attention, scene_of=scene_of, num_tokens=self.side**3)
        return super().forward(x, t, context, attend)


def scene_context_attention(
    qkv: Float[Tensor, "tokens 3 heads width"], *, scene_of: Int[Tensor, " items"], num_tokens: int
) -> Float[Tensor, "tokens heads width"]:
    """Each token attends to its own item and to the item's scene, in one softmax over the keys of both.

    Where an item equals its scene this is self-attention: every key occurs twice, with one value. So it is for scenes.

    Args:
        num_tokens: of each item.
    """
    query, key, value = qkv.unflatten(0, (-1, num_tokens)).permute(2, 0, 3, 1, 4)  # items heads tokens width
    keys, values = (torch.cat([own, own[scene_of]], dim=2) for own in (key, value))
    return F.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(0, 1)
