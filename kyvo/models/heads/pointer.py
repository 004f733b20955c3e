"""`Pointer`: which objects of its scene a text is about, read where the output begins.

Finding an object by words and relations takes the early layers; the later ones write. So it is read from the early
layers' states by a linear map, which is trained beside the model (`kyvo.training.auxiliary_heads`) and kept with it:
whoever edits a scene can ask which object is meant before anything is written (`kyvo.generation.one_change`).
"""

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

POINTER_NAME = "pointer.safetensors"


def early_depth(num_layers: int) -> int:
    """After how many layers states are called early: a quarter of them, but two at least."""
    return max(2, num_layers // 4)


class Pointer(nn.Module):
    """States -> a logit for each object, by its number in the scene's tokens."""

    def __init__(self, dim: int, num_objects: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.objects = nn.Linear(dim, num_objects)

    def forward(self, states: Float[Tensor, "*texts dim"]) -> Float[Tensor, "*texts objects"]:
        return self.objects(self.norm(states)).float()


def save_pointer(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes a pointer's `state_dict` beside the model."""
    save_file(
        {name: tensor.detach().float().cpu().contiguous() for name, tensor in weights.items()}, folder / POINTER_NAME
    )


def load_pointer(folder: Path) -> Pointer | None:
    """The pointer that `save_pointer` wrote; None for a model without one."""
    path = folder / POINTER_NAME
    if not path.is_file():
        return None
    weights = load_file(path)
    num_objects, dim = weights["objects.weight"].shape
    pointer = Pointer(dim, num_objects)
    pointer.load_state_dict(weights)
    return pointer.eval().requires_grad_(False)
