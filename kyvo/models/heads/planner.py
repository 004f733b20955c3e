"""`Planner`: what an instruction asks of a scene, read from the model's early states of its words.

The early layers have already found which objects each word fits (`kyvo.training.auxiliary_heads`). A small transformer
over the states of the text alone says the rest, once for the whole edit and not id by id: what happens, to which
object, what words it gets, beside which object it comes to stand, and how far from it. The sum of that object's place
and the way is left to arithmetic: written number by number, it is not learnt. `kyvo.generation.plans` makes a plan of
it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kyvo.models.network_files import load_network, save_network

PLANNER_NAME = "planner.safetensors"
OPERATIONS = ("change", "add", "remove", "move")  # of `kyvo.data.language.edits`
HEADS = 4
MAX_IDS = 64  # of a text that are told apart by their place; earlier ones count as the first


@dataclass(frozen=True, kw_only=True)
class PlannerConfig:
    """What it reads and the size of the network."""

    dim: int  # of the model's states
    num_objects: int  # that are told apart by their number in the scene's tokens
    words: tuple[int, ...]  # how many each of the schema's fields of words has
    width: int = 192
    layers: int = 3


@dataclass(frozen=True, kw_only=True)
class PlanLogits:
    """What was read of each text; objects by their number in the scene's tokens."""

    operation: Float[Tensor, "texts operations"]  # of OPERATIONS
    about: Float[Tensor, "texts objects"]  # the object that is changed, removed or moved
    of: Float[Tensor, "texts objects"]  # the one from whose place the way of a new or moved one begins
    way: Float[Tensor, "texts 2"]  # from there, in the scene's units
    words: tuple[Float[Tensor, "texts _"], ...]  # field by field: first that it stays, then its words


class TextReader(nn.Module):
    """A transformer over the states of texts, and over what belongs to each of them besides."""

    def __init__(self, *, dim: int, width: int, layers: int) -> None:
        """`dim` is of the model's states."""
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.states = nn.Linear(dim, width)
        self.places = nn.Parameter(torch.randn(MAX_IDS, width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.told = nn.LayerNorm(width)

    def read(
        self,
        states: Float[Tensor, "texts ids dim"],
        valid: Bool[Tensor, "texts ids"],
        beside: Float[Tensor, "texts items width"],
        present: Bool[Tensor, "texts items"],
    ) -> tuple[Float[Tensor, "texts width"], Float[Tensor, "texts items width"]]:
        """What is told at the end of each text, and at each item beside it.

        Args:
            states: after the early layers (`kyvo.models.heads.pointer.early_depth`), of each text's ids and on to the
                first of the output.
            valid: which are of the text; all from the first to the last, and one at least.
            beside: what else it sees, none for nothing.
            present: which items there are.
        """
        last, num_ids = valid.sum(1, keepdim=True) - 1, valid.shape[1]
        places = (last - torch.arange(num_ids, device=valid.device)).clamp(0, MAX_IDS - 1)  # from the end
        hidden = torch.cat([self.states(self.norm(states)) + self.places[places], beside], dim=1)
        hidden = self.told(self.layers(hidden, src_key_padding_mask=~torch.cat([valid, present], dim=1)))
        return hidden.take_along_dim(last[..., None], dim=1)[:, 0], hidden[:, num_ids:]


class Planner(TextReader):
    """The states of texts -> `PlanLogits`."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__(dim=config.dim, width=config.width, layers=config.layers)
        self.config = config
        width = config.width
        self.operation = nn.Linear(width, len(OPERATIONS))
        self.about = nn.Linear(width, config.num_objects)
        self.of = nn.Linear(width, config.num_objects)
        self.direction = nn.Linear(width, 2)
        self.distance = nn.Linear(width, 1)
        self.words = nn.Linear(width, sum(1 + count for count in config.words))

    def forward(self, states: Float[Tensor, "texts ids dim"], valid: Bool[Tensor, "texts ids"]) -> PlanLogits:
        """States and valid ids as of `TextReader.read`."""
        none = states.new_zeros(len(states), 0, self.config.width)
        told, _ = self.read(states, valid, none, valid[:, :0])
        direction = F.normalize(self.direction(told).float(), dim=-1)
        return PlanLogits(
            operation=self.operation(told).float(),
            about=self.about(told).float(),
            of=self.of(told).float(),
            way=self.distance(told).float() * direction,
            words=self.words(told).float().split([1 + count for count in self.config.words], dim=-1),
        )


def save_planner(folder: Path, planner: Planner) -> None:
    """Writes it beside the model."""
    save_network(folder / PLANNER_NAME, planner)


def load_planner(folder: Path) -> Planner | None:
    """The planner that `save_planner` wrote; None for a model without one. Raises CheckpointError for another file."""
    return load_network(folder / PLANNER_NAME, Planner, PlannerConfig, recipe="recipes/planner.py")
