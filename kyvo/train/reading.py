"""A second task for the model's lower half while it is trained: each object is read where its code stands.

A scene's tokens tell late and in one place what the picture holds: the first location comes after four words, and says
nothing of where to look. So half of the layers have to say it themselves: at every code of a picture that goes in,
whether an object's centre lies there, and if so its number in the scene, its words and its numbers, by one linear map.
What stands so in the states, the upper half has only to look up. The map is thrown away after the training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.models.embedding import cosines
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.objects import shown_objects
from kyvo.tokenizers.sequence import MAX_NUMBER
from kyvo.train.model import NUM_WAVES


@dataclass(frozen=True, kw_only=True)
class ObjectTargets:
    """What is to be read in a batch. Positions are flat, into batch x seq."""

    codes: Int[Tensor, " codes"]  # of all codes of pictures that go in
    present: Bool[Tensor, " codes"]  # whether an object's centre lies there
    values: Int[Tensor, "objects values"]  # its number in the scene, then of each field the word's or the bins' places

    def to(self, device: torch.device) -> "ObjectTargets":
        return ObjectTargets(**{name: value.to(device) for name, value in vars(self).items()})


def object_rows(scene: Scene, schema: SceneSchema, *, rows: int, columns: int) -> Int[np.ndarray, "codes values"]:
    """For each code of a picture, row-major, the values of `ObjectTargets` of the object whose centre it holds, or -1.

    Raises SceneError for a scene without a camera.
    """
    snapped = schema.snap(scene, clamp=True)  # in token order
    shown = shown_objects(replace(snapped, camera=scene.camera), rows=rows, columns=columns)
    found = np.full((rows * columns, 1 + num_values(schema)), -1)
    for (row, column), (index, _, _) in shown.items():
        values = [min(index, MAX_NUMBER - 1)]
        for field in schema.fields:
            value = snapped.objects[index].get(field.name)
            if field.words:
                values.append(field.words.index(value))
            values += [axis.values.index(entry) for axis, entry in zip(field.axes, value, strict=False)]
        found[row * columns + column] = values
    return found


def num_values(schema: SceneSchema) -> int:
    """How many values an object has besides its number: a word or the numbers of each field; codes are not read."""
    return sum(len(field.axes) or bool(field.words) for field in schema.fields)


def object_targets(
    places: Sequence[Int[np.ndarray, " _"]],
    objects: Sequence[Int[np.ndarray, "_ values"] | None],
    starts: Sequence[int],
) -> ObjectTargets | None:
    """Targets of a batch from the `object_rows` of each sequence; None where none has any.

    Args:
        places: for each sequence, of what goes in (`SequenceBuilder.places`); -1 elsewhere.
        objects: None for a sequence whose picture is not read.
        starts: where each sequence begins in batch x seq.
    """
    codes, values = [], []
    for of_sequence, found, start in zip(places, objects, starts, strict=True):
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


class ObjectReading(nn.Module):
    """The linear map, and its loss."""

    def __init__(self, schema: SceneSchema, dim: int) -> None:
        super().__init__()
        self.words = [len(field.words) for field in schema.fields if field.words]
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
            loss = loss + F.cross_entropy(next(logits[is_word]), value, reduction="sum") / count
        return loss
