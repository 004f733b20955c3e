"""`AuxiliaryHeads`: further losses of the training: linear maps read objects from the model's states.

A scene's tokens tell late and in one place what the picture holds: the first location comes after four words, and says
nothing of where to look. So the middle layers have to say it themselves: at every code of a picture that goes in,
whether an object's centre lies there, and if so its number in the scene, its words and its numbers, by one linear map.
What stands so in the states, the later layers have only to look up. A picture that comes out is the same task turned
round: before each code is written, the middle layers have to say which object, if any, will be shown there.

An answer is one word, which tells little of how to find it, and an edited scene is mostly a copy. So at each word of a
text that an object can have, the early layers have to say which objects have it; and where the output begins, they
and the last ones have to say which objects the text is about. Before each id of an edited scene the middle ones have
to say whether it is still copied. The maps are thrown away after the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.models.llama.embedding import cosines
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.objects import visible_objects
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.training.model import NUM_WAVES, HiddenStates


@dataclass(frozen=True, kw_only=True)
class ObjectTargets:
    """What is to be read in a batch. Positions are flat, into batch x seq."""

    codes: Int[Tensor, " codes"]  # of all codes of pictures that go in, or of the ids before each code that comes out
    present: Bool[Tensor, " codes"]  # whether an object is there
    # Its number in the scene, then of each field the word's or the bins' places; -1 of a field that it does not have.
    values: Int[Tensor, "objects values"]

    def to(self, device: torch.device) -> "ObjectTargets":
        return ObjectTargets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class GroundingTargets:
    """What a batch's questions and instructions, or their words, are about. Positions are flat, into batch x seq."""

    positions: Int[Tensor, " texts"]  # of each output's first id, or of each word
    about: Float[Tensor, "texts objects"]  # 1 for the objects it is about, 0 for others of the scene, -1 for none

    def to(self, device: torch.device) -> "GroundingTargets":
        return GroundingTargets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class CopyTargets:
    """Whether the ids of edited scenes are copied. Positions are flat, into batch x seq."""

    positions: Int[Tensor, " ids"]  # before each id that comes out
    changed: Bool[Tensor, " ids"]  # `SequenceBuilder.changed`

    def to(self, device: torch.device) -> "CopyTargets":
        return CopyTargets(**{name: value.to(device) for name, value in vars(self).items()})


def grounding_targets(scene: Scene, schema: SceneSchema, sets: Sequence[int]) -> Float[np.ndarray, "texts objects"]:
    """`GroundingTargets.about` of texts about one scene, each given as a set: an int with a bit for each object. The
    bits are in the scene's order, the columns by the objects' number in the tokens."""
    order = schema.token_order(scene, clamp=True)
    numbers = [min(number, MAX_NUMBER - 1) for number in range(len(order))]
    about = np.full((len(sets), MAX_NUMBER), -1, dtype=np.float32)
    for row, found in zip(about, sets, strict=True):
        row[numbers] = [found >> place & 1 for place in order]
    return about


def object_rows(
    scene: Scene, schema: SceneSchema, *, rows: int, columns: int, reach: float = 0.0
) -> Int[np.ndarray, "codes values"]:
    """For each code of a picture, row-major, the values of `ObjectTargets` of the object whose centre it holds, or -1.

    With `reach`, in cells, a code that holds none has the object of the nearest centre, if it is so near to its middle.
    Raises SceneError for a scene without a camera.
    """
    snapped = schema.snap(scene, clamp=True)  # in token order
    shown = visible_objects(replace(snapped, camera=scene.camera), rows=rows, columns=columns)
    found = np.full((rows * columns, 1 + num_values(schema)), -1)
    for (row, column), (index, _, _) in shown.items():
        values = [min(index, MAX_NUMBER - 1)]
        for field in schema.fields:
            value = snapped.objects[index].get(field.name)
            if field.words:
                values.append(field.words.index(value))
            elif value is None:
                values += [-1] * len(field.axes)
            elif field.axes:
                entries = zip(field.axes, field.numbers(value), strict=True)
                values += [axis.values.index(entry) for axis, entry in entries]
        found[row * columns + column] = values
    if reach and shown:
        centers = np.array([(row + y, column + x) for (row, column), (_, x, y) in shown.items()])
        cells = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
        distance = np.linalg.norm(cells[:, None] - centers, axis=-1)
        near = (distance.min(axis=1) <= reach) & (found[:, 0] < 0)
        owners = np.array([row * columns + column for row, column in shown])[distance.argmin(axis=1)]
        found[near] = found[owners[near]]
    return found


def num_values(schema: SceneSchema) -> int:
    """How many values an object has besides its number: a word or the numbers of each field; codes are not read."""
    return sum(len(field.axes) or bool(field.words) for field in schema.fields)


def object_targets(
    grid_positions: Sequence[Int[np.ndarray, " _"]],
    objects: Sequence[Int[np.ndarray, "_ values"] | None],
    starts: Sequence[int],
) -> ObjectTargets | None:
    """Targets of a batch from the `object_rows` of each sequence; None where none has any.

    Args:
        grid_positions: for each sequence, those of the codes to be read, row-major; anything else elsewhere.
        objects: None for a sequence whose picture is not read.
        starts: where each sequence begins in batch x seq.
    """
    codes, values = [], []
    for of_sequence, found, start in zip(grid_positions, objects, starts, strict=True):
        if found is not None:
            inside = np.flatnonzero((of_sequence >= 0) & (of_sequence < len(found)))
            codes.append(start + inside)
            values.append(found[of_sequence[inside]])
    if not codes:
        return None
    found = np.concatenate(values)
    present = found[:, 0] >= 0
    codes, present, values = map(torch.from_numpy, (np.concatenate(codes), present, found[present]))
    return ObjectTargets(codes=codes, present=present, values=values)


@dataclass(frozen=True, kw_only=True)
class Targets:
    """All that is to be read in a batch; None for what it has not."""

    seen: ObjectTargets | None = None  # in pictures that go in
    drawn: ObjectTargets | None = None  # in pictures that come out
    asked: GroundingTargets | None = None  # of whole texts
    named: GroundingTargets | None = None  # of single words
    changed: CopyTargets | None = None  # of edited scenes

    def __bool__(self) -> bool:
        return any(value is not None for value in vars(self).values())

    def to(self, device: torch.device) -> "Targets":
        return Targets(**{name: value and value.to(device) for name, value in vars(self).items()})


class AuxiliaryHeads(nn.Module):
    """All the maps."""

    def __init__(self, schema: SceneSchema, dim: int) -> None:
        super().__init__()
        self.seen = ObjectHead(schema, dim)
        self.drawn = ObjectHead(schema, dim)
        self.named = GroundingHead(dim, MAX_NUMBER)
        self.about = GroundingHead(dim, MAX_NUMBER)
        self.about_last = GroundingHead(dim, MAX_NUMBER)
        self.changed = nn.Sequential(nn.RMSNorm(dim), nn.Linear(dim, 1))

    def forward(self, states: HiddenStates, targets: Targets) -> Float[Tensor, ""]:
        """Sum of the losses of what a batch has, in nats: of a mean object, of all objects for a mean text, and of
        all ids for a mean one that is changed."""
        loss = states.last.new_zeros((), dtype=torch.float32)
        for head, wanted in ((self.seen, targets.seen), (self.drawn, targets.drawn)):
            if wanted is not None:
                loss = loss + head(states.middle, wanted)
        of_texts = (
            (self.named, states.early, targets.named),
            (self.about, states.early, targets.asked),
            (self.about_last, states.last, targets.asked),
        )
        for grounding, states_of, wanted in of_texts:
            if wanted is not None:
                logits = grounding(states_of.flatten(0, 1)[wanted.positions])
                part = F.binary_cross_entropy_with_logits(logits, wanted.about.clamp(min=0), reduction="none")
                loss = loss + (part * (wanted.about >= 0)).sum() / len(wanted.about)
        if targets.changed is not None:
            changed = targets.changed.changed.float()
            logits = self.changed(states.middle.flatten(0, 1)[targets.changed.positions])[:, 0].float()
            part = F.binary_cross_entropy_with_logits(logits, changed, reduction="sum")
            loss = loss + part / changed.sum().clamp(min=1)
        return loss


class GroundingHead(nn.Module):
    """States -> a logit for each object, by its number in the scene's tokens: which objects a text is about."""

    def __init__(self, dim: int, num_objects: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim)
        self.objects = nn.Linear(dim, num_objects)

    def forward(self, states: Float[Tensor, "*texts dim"]) -> Float[Tensor, "*texts objects"]:
        return self.objects(self.norm(states)).float()


class ObjectHead(nn.Module):
    """A linear map, and its loss."""

    def __init__(self, schema: SceneSchema, dim: int) -> None:
        super().__init__()
        self.words = schema.word_counts
        self.bins = [len(axis.values) for field in schema.fields for axis in field.axes]
        kinds = [[True] if field.words else [False] * len(field.axes) for field in schema.fields]
        self.is_word = [True, *(kind for of_field in kinds for kind in of_field)]  # of each value; its number first
        self.norm = nn.RMSNorm(dim)
        self.words_map = nn.Linear(dim, 1 + MAX_NUMBER + sum(self.words))
        self.numbers_map = nn.Linear(dim, len(self.bins) * NUM_WAVES, bias=False)
        nn.init.normal_(self.numbers_map.weight, std=0.06 / dim**0.5)

    def forward(self, states: Float[Tensor, "batch seq dim"], targets: ObjectTargets) -> Float[Tensor, ""]:
        """Sum of cross-entropies in nats: presence a mean object, everything else averaged over the objects."""
        read = self.norm(states.flatten(0, 1)[targets.codes])
        count = max(1, len(targets.values))
        presence = F.linear(read, self.words_map.weight[:1], self.words_map.bias[:1])
        loss = (
            F.binary_cross_entropy_with_logits(presence[:, 0].float(), targets.present.float(), reduction="sum") / count
        )
        read = read[targets.present]
        words = self.words_map(read).float()[:, 1:].split([MAX_NUMBER, *self.words], dim=1)
        waves = self.numbers_map(read).float().split(NUM_WAVES, dim=1)
        numbers = [
            of_axis @ cosines(bins, NUM_WAVES, device=states.device).T
            for of_axis, bins in zip(waves, self.bins, strict=True)
        ]
        logits = [iter(numbers), iter(words)]
        for is_word, value in zip(self.is_word, targets.values.unbind(1), strict=True):
            loss = loss + F.cross_entropy(next(logits[is_word]), value, ignore_index=-1, reduction="sum") / count
        return loss
