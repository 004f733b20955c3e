"""Initial weights into a model: what a checkpoint says in another form is solved for.

What it has not (a Llama: numbers, markers, codes) keeps its fresh values; what it has and the model has not, or in
another shape, is refused by name. A model's numbers are a learned row and a wave, its codes a projection of a frozen
codebook, its image positions a row and a column: of a folded or released checkpoint only their sums and products are
known.

A vocabulary may have grown since a model was folded: by programs, by the markers of a header. Rows are found by what
they stand for, and new ones keep their fresh values.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kyvo.errors import CheckpointError
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.init_weights_files import (
    CODE_ROWS,
    HEAD_ROWS,
    HEAD_TEXT,
    NUMBER_ROWS,
    POSITIONS,
    TABLE_ROWS,
    InitWeights,
    first_faults,
)
from kyvo.training.model import KyvoDecoder


def apply_init_weights(
    model: KyvoDecoder, init: InitWeights, *, where: str, vocabulary: Vocabulary | None = None
) -> None:
    """Puts the weights into a model, in its dtype.

    Args:
        vocabulary: the model's, where it may have more ids than that of a folded model.

    Raises:
        CheckpointError: a weight that the model has not, or in another shape, or codes of another codebook.
    """
    state, weights = _with_whole_head(model.state_dict()), _with_whole_head(init.weights)
    with torch.no_grad():
        if init.vocabulary is not None:
            _place_rows(weights, model, init.vocabulary, vocabulary or init.vocabulary, where=where)
        if NUMBER_ROWS in weights:
            weights["tok_embeddings.numbers.weight"] = weights.pop(NUMBER_ROWS).float() - _waves(model)
        _solve_codes(weights, model)
        _solve_positions(weights, model)
        _solve_head(weights, model)
    needed = state if init.form == "run" else [name for name in state if name.startswith(("layers.", "norm."))]
    faults = [f"{name} is missing" for name in needed if name not in weights]
    faults += [f"{name} {list(tensor.shape)} is unknown" for name, tensor in weights.items() if name not in state]
    faults += [
        f"{name} is {list(weights[name].shape)}, the model's is {list(tensor.shape)}"
        for name, tensor in state.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if not faults:
        faults = [
            f"{name} differs from the processor's"
            for name in state
            if name.endswith(".codebook") and name in weights and not _alike(weights[name], state[name])
        ]
    if faults:
        raise CheckpointError(
            f"train.init_weights is {where}, whose weights are of another model: {first_faults(faults)}. "
            "Choose the model.size and the processor that they were made for."
        )
    model.load_state_dict({**state, **weights})


def apply_auxiliary(heads: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Puts the weights into auxiliary heads; those that they lack keep fresh values.

    Raises:
        CheckpointError: they are of other heads.
    """
    found = heads.load_state_dict(weights, strict=False)
    if found.unexpected_keys:
        raise CheckpointError(
            f"{where} has other auxiliary heads: {found.unexpected_keys[:4]}. Start from its model, step_<step>/model."
        )


def _with_whole_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state whose head is one weight, whether or not its text rows are frozen; a head loads either."""
    state = dict(state)
    if "output.frozen" in state:
        state["output.weight"] = torch.cat([state.pop("output.frozen"), state["output.weight"]])
    return state


def _place_rows(
    weights: dict[str, Tensor], model: KyvoDecoder, old: Vocabulary, new: Vocabulary, *, where: str
) -> None:
    """The rows of a folded model under the model's ids, by their kinds; of new ids they are the model's fresh ones."""
    if lost := [entry for entry in old.entries if entry not in new.entries]:
        shown = ", ".join(str(value) for _, value in lost[:4])
        raise CheckpointError(
            f"train.init_weights is {where}, whose vocabulary has {len(lost)} entries that this one has not: {shown}. "
            "Choose the processor that they were made for, or one that has all of its ids."
        )
    indices = torch.tensor([new.entries[entry] for entry in old.entries])
    table = weights.pop(TABLE_ROWS)
    placed = model.tok_embeddings.table().detach().clone().to(table.dtype)
    head = model.output.table().detach().clone().to(table.dtype)
    placed[indices], head[indices] = table, weights[HEAD_ROWS]
    num_numbers = new.num_number_rows or len(new.numbers)
    first, codes, programs = new.num_text, new.ranges["image"].start, new.ranges["program"].start
    weights |= {
        "tok_embeddings.text.weight": placed[:first],
        NUMBER_ROWS: placed[first : first + num_numbers],
        "tok_embeddings.markers.weight": placed[first + num_numbers : codes],
        CODE_ROWS: placed[codes:programs],
        HEAD_ROWS: head,
    }
    if new.programs:
        weights["tok_embeddings.programs.weight"] = placed[programs:]


def _waves(model: KyvoDecoder) -> Tensor | float:
    return 0.0 if model.tok_embeddings.waves is None else model.tok_embeddings.waves.float()


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Equal but for the rounding of bf16."""
    return bool((ours.float() - theirs.float()).norm() <= 0.02 * theirs.float().norm())


def _solve_head(weights: dict[str, Tensor], model: KyvoDecoder) -> None:
    """The head's own rows: text rows alone go before the present others; smooth parts of numbers are taken off."""
    head = model.output
    table = head.table().detach().float()
    if HEAD_TEXT in weights:
        rows = weights.pop(HEAD_TEXT).float()
        if len(rows) != model.tok_embeddings.text.num_embeddings:
            weights["head's text rows"] = rows  # refused by name
            return
        weights[HEAD_ROWS] = torch.cat([rows, table[len(rows) :]])
    if HEAD_ROWS in weights:
        rows = weights.pop(HEAD_ROWS).float()
        if rows.shape == table.shape:
            own = head.weight if head.frozen is None else torch.cat([head.frozen, head.weight])
            rows = rows - (table - own.detach().float())
        weights["output.weight"] = rows


def _solve_codes(weights: dict[str, Tensor], model: KyvoDecoder) -> None:
    """The projections whose product with the frozen codebooks are the rows."""
    if CODE_ROWS not in weights:
        return
    rows = weights.pop(CODE_ROWS).float()
    for name in ("image", "shape"):
        codes = getattr(model.tok_embeddings, name)
        if codes is not None:
            if codes.second is not None:
                raise CheckpointError(
                    f"the {name} codes of a folded model cannot be solved for an MLP; set model.projector to linear, "
                    "or start from a run with that MLP."
                )
            part, rows = rows[: len(codes.codebook)], rows[len(codes.codebook) :]
            solution = torch.linalg.lstsq(codes.codebook.float(), part, driver="gelsd").solution
            if (codes.codebook.float() @ solution - part).norm() > 0.02 * part.norm():
                raise CheckpointError(
                    f"the folded {name} codes are not projected from this processor's codebook; take the processor "
                    "in the same folder."
                )
            weights[f"tok_embeddings.{name}.projection.weight"] = solution.T
    if len(rows) != model.tok_embeddings.num_without_vector or rows.any():
        weights["tok_embeddings.further codes"] = rows  # refused by name


def _solve_positions(weights: dict[str, Tensor], model: KyvoDecoder) -> None:
    """Row and column vectors whose sums are the vectors of image codes' places; between those of the two ways, the
    objects'."""
    if POSITIONS not in weights or model.positions is None:
        return
    positions = model.positions
    rows, columns = positions.rows.num_embeddings, positions.columns.num_embeddings
    num_codes, num_objects = rows * columns, positions.objects.num_embeddings
    table = weights.pop(POSITIONS).float()
    if len(table) != 2 * num_codes + num_objects:
        weights["positions"] = table  # refused by name
        return
    codes, weights["positions.objects.weight"], written = table.split([num_codes, num_objects, num_codes])
    following = torch.empty_like(codes)
    following[positions.following] = written - codes
    for name, vectors in (("", codes), ("next_", following)):
        grid = vectors.view(rows, columns, -1)
        weights[f"positions.{name}rows.weight"] = grid.mean(1)
        weights[f"positions.{name}columns.weight"] = grid.mean(0) - grid.mean((0, 1))
