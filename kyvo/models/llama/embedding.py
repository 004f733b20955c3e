"""`CompositeEmbedding`: the input embedding while training, one part for each kind of token.

| token  | vector |
|---|---|
| text   | a row of the text table, which may be frozen |
| number | a learned row plus a fixed wave of its position, so that neighbouring numbers start as neighbours |
| marker | a learned row |
| program | a learned row |
| code   | its frozen codebook vector through one linear map, or an MLP: what the image (shape) tokenizer knows of it |

https://arxiv.org/abs/2506.08002, section 3. `table()` is the same as one plain embedding; folding stores that.
"""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kyvo.errors import ConfigError
from kyvo.tokenizers.vocabulary import Vocabulary

Numbers = Literal["fixed", "learned", "hybrid"]
Projector = Literal["linear", "mlp"]
GELU_RMS = 0.652  # root mean square of GELU's outputs on N(0, 1)


class CompositeEmbedding(nn.Module):
    """Ids -> vectors. All parts start with entries of standard deviation `scale`, the text table's.

    With embeddings of another scale (the released code has N(0, 1) beside Llama's 0.02) the larger part drowns the
    other in the residual stream.
    """

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        dim: int,
        image_codebook: Float[Tensor, "images image_width"] | None = None,
        shape_codebook: Float[Tensor, "shapes shape_width"] | None = None,
        numbers: Numbers = "hybrid",
        projector: Projector = "linear",
        freeze_text: bool = False,
        scale: float = 0.02,
    ) -> None:
        """Raises ConfigError when a codebook does not have as many rows as the vocabulary has codes.

        Without a `shape_codebook` shape codes have vectors of zeros: for schemas whose objects have no codes.
        """
        super().__init__()
        if numbers not in ("fixed", "learned", "hybrid"):
            raise ConfigError(f"numbers is {numbers!r}; it can be fixed, learned or hybrid.")
        if projector not in ("linear", "mlp"):
            raise ConfigError(f"projector is {projector!r}; it can be linear or mlp.")
        self.num_embeddings = len(vocabulary)
        self.dim = dim
        self.scale = scale
        self.text = nn.Embedding(vocabulary.num_text, dim)
        self.text.weight.requires_grad_(not freeze_text)

        # A released number table is one row longer than its range: the first marker is then embedded by the last row.
        num_numbers, num_markers = len(vocabulary.numbers), len(vocabulary.markers) + vocabulary.num_reserved
        self.num_number_rows = vocabulary.num_number_rows or num_numbers
        self.numbers = None if numbers == "fixed" else nn.Embedding(self.num_number_rows, dim)
        self.waves: Tensor | None
        self.register_buffer("waves", None, persistent=False)
        self.has_waves = numbers != "learned"
        self.markers = nn.Embedding(num_numbers + num_markers - self.num_number_rows, dim)
        self.image = _codes("image", image_codebook, vocabulary.num_image_codes, dim, projector)
        self.num_without_vector = vocabulary.num_shape_codes if shape_codebook is None else 0
        num_shapes = vocabulary.num_shape_codes - self.num_without_vector
        self.shape = _codes("shape", shape_codebook, num_shapes, dim, projector)
        self.programs = nn.Embedding(len(vocabulary.programs), dim) if vocabulary.programs else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in (self.text, self.numbers, self.markers, self.programs):
            if table is not None:
                nn.init.normal_(table.weight, std=self.scale)
        for codes in (self.image, self.shape):
            if codes is not None:
                codes.reset_parameters(self.scale)
        self.rope_init()

    def rope_init(self) -> None:
        """Fills the waves. torchtune calls a method of this name on every module it has made on the meta device."""
        if self.has_waves:
            waves = sine_cosine(self.num_number_rows, self.dim, device=self.markers.weight.device)
            self.waves = waves * (self.scale * math.sqrt(2))  # the entries of `sine_cosine` have mean square 1/2

    def forward(self, ids: Int[Tensor, "*batch seq"]) -> Float[Tensor, "*batch seq dim"]:
        # Two dense look-ups and a choice: no mask is turned into indices, so that nothing waits for a device.
        num_text = self.text.num_embeddings
        text = self.text(ids.clamp(max=num_text - 1))
        other = F.embedding((ids - num_text).clamp(min=0), self.other_table())
        return torch.where((ids < num_text)[..., None], text, other)

    def other_table(self) -> Float[Tensor, "rows dim"]:
        """Vectors of all ids after the text."""
        parts = [self._number_table(), self.markers.weight]
        parts += [codes() for codes in (self.image, self.shape) if codes is not None]
        parts.append(parts[0].new_zeros(self.num_without_vector, self.dim))
        return torch.cat(parts if self.programs is None else [*parts, self.programs.weight])

    def table(self) -> Float[Tensor, "vocab dim"]:
        """The plain embedding this one amounts to."""
        return torch.cat([self.text.weight, self.other_table()])

    def _number_table(self) -> Float[Tensor, "rows dim"]:
        if self.numbers is None:
            assert self.waves is not None
            return self.waves
        return self.numbers.weight if self.waves is None else self.numbers.weight + self.waves


class CodeEmbedding(nn.Module):
    """Codes through one bias-free linear map of their frozen codebook, or through an MLP of two."""

    def __init__(self, codebook: Float[Tensor, "codes width"], dim: int, projector: Projector = "linear") -> None:
        super().__init__()
        # A frozen parameter and no buffer: sharding torchtune's way turns float buffers into trained parameters.
        self.codebook = nn.Parameter(codebook.detach().clone().float(), requires_grad=False)
        self.projection = nn.Linear(codebook.shape[1], dim, bias=False)
        self.second = nn.Linear(dim, dim, bias=False) if projector == "mlp" else None

    def reset_parameters(self, scale: float) -> None:
        """Projected entries get the standard deviation `scale`."""
        norm = self.codebook.square().sum(1).mean().sqrt()
        nn.init.normal_(self.projection.weight)
        with torch.no_grad():
            self.projection.weight.mul_((scale if self.second is None else 1.0) / norm)
        if self.second is not None:
            nn.init.normal_(self.second.weight, std=scale / (GELU_RMS * math.sqrt(self.second.in_features)))

    def forward(self) -> Float[Tensor, "codes dim"]:
        projected = self.projection(self.codebook)
        return projected if self.second is None else self.second(F.gelu(projected))


class Positions(nn.Module):
    """What is added to a token for where it stands, beyond what rotary attention tells: how far apart tokens are.

    An image code gets a learned vector for its row and one for its column; from attention alone it takes thousands of
    steps before an object's location is read at all. A code that is written also gets those of where the next one
    goes: what stands there is asked before it is known. Every token of an object gets the vector of the object's
    number in its scene, so that an object of one scene finds the same one of another: an edit is mostly copying.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        dim: int,
        *,
        num_objects: int,
        order: Int[np.ndarray, " codes"] | None = None,
        scale: float = 0.02,
    ) -> None:
        """`order` are the row-major places in the order in which a picture is written; row-major itself without it."""
        super().__init__()
        self.rows = nn.Embedding(rows, dim)
        self.columns = nn.Embedding(columns, dim)
        self.objects = nn.Embedding(num_objects, dim)
        self.next_rows = nn.Embedding(rows, dim)
        self.next_columns = nn.Embedding(columns, dim)
        written = np.arange(rows * columns) if order is None else order
        following = np.empty_like(written)
        following[written] = np.roll(written, -1)
        self.following: list[int] = following.tolist()
        self.scale = scale
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in (self.rows, self.columns, self.objects, self.next_rows, self.next_columns):
            nn.init.normal_(table.weight, std=self.scale)

    def table(self) -> Float[Tensor, "places dim"]:
        """Of the codes that go in, place r * columns + c; of the objects' numbers; of the codes that come out."""
        codes = _grid(self.rows, self.columns)
        following = _grid(self.next_rows, self.next_columns)[self.following]
        return torch.cat([codes, self.objects.weight, codes + following])

    def forward(self, grid_positions: Int[Tensor, "*batch seq"]) -> Float[Tensor, "*batch seq dim"]:
        """Zero where the place is -1: what stands there has none."""
        return position_vectors(self.table(), grid_positions)


def _grid(rows: nn.Embedding, columns: nn.Embedding) -> Float[Tensor, "codes dim"]:
    return (rows.weight[:, None] + columns.weight).flatten(0, 1)


def position_vectors(
    table: Float[Tensor, "places dim"], grid_positions: Int[Tensor, "*batch seq"]
) -> Float[Tensor, "*batch seq dim"]:
    """Rows of the table, zero for place -1."""
    return F.embedding(grid_positions.clamp(min=0), table) * (grid_positions >= 0)[..., None]


def _codes(kind: str, codebook: Tensor | None, num_codes: int, dim: int, projector: Projector) -> CodeEmbedding | None:
    num_rows = 0 if codebook is None else len(codebook)
    if num_rows != num_codes:
        raise ConfigError(
            f"the {kind} codebook has {num_rows} rows, but the vocabulary has {num_codes} {kind} codes. "
            f"Give the codebook of the {kind} tokenizer this vocabulary was made for."
        )
    return None if codebook is None else CodeEmbedding(codebook, dim, projector)


def sine_cosine(num_rows: int, dim: int, *, device: torch.device | None = None) -> Float[Tensor, "rows dim"]:
    """Row p: sin(p / 10000^(2i/dim)) at 2i and the cosine at 2i + 1 (https://arxiv.org/abs/1706.03762, section 3.5)."""
    position = torch.arange(num_rows, device=device, dtype=torch.float32)[:, None]
    frequency = 10_000.0 ** -(torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim)
    angles = position * frequency
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def cosines(num_rows: int, num_waves: int, *, device: torch.device | None = None) -> Float[Tensor, "rows waves"]:
    """Column k - 1: the k-th cosine of the discrete cosine transform, at 4 sqrt(2 / k) of its height.

    Functions of a row that are smooth have their weight in the first columns, which are therefore the largest.
    """
    wave = torch.arange(1, num_waves + 1, device=device, dtype=torch.float32)
    place = (torch.arange(num_rows, device=device, dtype=torch.float32) + 0.5) / num_rows
    return torch.cos(math.pi * place[:, None] * wave) * 4 * (2 / wave).sqrt()
