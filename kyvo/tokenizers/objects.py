"""Object supervision of the image tokenizer: targets on the grid of codes, and linear probes that predict them.

Reconstruction alone makes codes of mean colours: an object's shape and material are a few pixels in it. So a tokenizer
may be trained, beside it, to let its codes be *read*: one linear map of a code has to say whether an object's centre
lies in its cell, the object's words (shape, colour, ...), and where in the cell the centre lies; and two layers over
3x3 codes, where in the scene it stands. The last needs the camera, which only the whole picture tells: the encoder sees
it whole, and writes into the codes how far an object stands from where its cell would have it.
What such maps read, a language model learns to read soon. They are thrown away after the training; the idea, with
text in the place of objects, is that of https://arxiv.org/abs/2409.04429.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kyvo.errors import SceneError
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema


@dataclass(frozen=True, kw_only=True)
class ObjectMaps:
    """The objects of a batch of pictures, each in the cell that its centre falls into."""

    present: Bool[Tensor, "batch rows columns"]
    words: Int[Tensor, "batch fields rows columns"]  # place in the field's words; 0 where nothing is present
    offsets: Float[Tensor, "batch 2 rows columns"]  # x and y from the cell's middle, in cells: [-0.5, 0.5)
    locations: Float[Tensor, "batch 3 rows columns"]  # in the scene, in its units

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, chosen: Tensor | slice) -> "ObjectMaps":
        return ObjectMaps(**{name: value[chosen] for name, value in vars(self).items()})

    def to(self, device: torch.device | str) -> "ObjectMaps":
        return ObjectMaps(**{name: value.to(device) for name, value in vars(self).items()})


def object_maps(scenes: Sequence[Scene], schema: SceneSchema, *, rows: int, columns: int) -> ObjectMaps:
    """Draws scenes onto the grid of codes (`visible_objects`).

    Raises SceneError for a scene without a camera, an object without a location, and a word that the schema lacks.
    """
    fields = schema.word_fields
    present = np.zeros((len(scenes), rows, columns), dtype=bool)
    words = np.zeros((len(scenes), len(fields), rows, columns), dtype=np.int64)
    offsets = np.zeros((len(scenes), 2, rows, columns), dtype=np.float32)
    locations = np.zeros((len(scenes), 3, rows, columns), dtype=np.float32)
    for number, scene in enumerate(scenes):
        try:
            shown = visible_objects(scene, rows=rows, columns=columns)
        except SceneError as error:
            raise SceneError(f"scenes[{number}] {error}") from error
        for (row, column), (index, x, y) in shown.items():
            item = scene.objects[index]
            present[number, row, column] = True
            words[number, :, row, column] = [field.words.index(field.snap(item.get(field.name))) for field in fields]
            offsets[number, :, row, column] = x, y
            locations[number, :, row, column] = item.location
    maps = {"present": present, "words": words, "offsets": offsets, "locations": locations}
    return ObjectMaps(**{name: torch.from_numpy(value) for name, value in maps.items()})


def visible_objects(scene: Scene, *, rows: int, columns: int) -> dict[tuple[int, int], tuple[int, float, float]]:
    """Row and column of a cell -> the index of the object whose centre it holds, and that centre from the cell's middle
    (x, y, in cells). Of two centres in one cell the nearer counts; one outside the picture is left out.

    Raises SceneError for a scene without a camera and an object without a location.
    """
    if scene.camera is None:
        raise SceneError("has no camera, which places its objects in the picture.")
    points = []
    for index, item in enumerate(scene.objects):
        if item.location is None:
            raise SceneError(f"objects[{index}].location is missing.")
        points.append(item.location)
    seen = scene.camera.project(np.array(points, dtype=float).reshape(-1, 3))
    seen[:, :2] *= columns / scene.camera.width, rows / scene.camera.height
    shown = {}
    for index in np.argsort(-seen[:, 2]).tolist():  # the nearest last
        x, y = seen[index, :2].tolist()
        if 0 <= x < columns and 0 <= y < rows:
            shown[int(y), int(x)] = index, x - int(x) - 0.5, y - int(y) - 0.5
    return shown


class ObjectHead(nn.Module):
    """A linear map of one code -> presence, the words of each field, and the offset; two layers over 3x3 codes -> the
    location.

    Locations are relative to the average location of objects in a cell, `expect` sets them.
    """

    def __init__(self, schema: SceneSchema, *, embed_dim: int, rows: int, columns: int) -> None:
        super().__init__()
        self.fields = {field.name: len(field.words) for field in schema.word_fields}
        self.sizes = [1, *self.fields.values(), 2]
        self.conv = nn.Conv2d(embed_dim, sum(self.sizes), 1)
        self.location = nn.Sequential(nn.Conv2d(embed_dim, 128, 3, padding=1), nn.GELU(), nn.Conv2d(128, 3, 1))
        self.expected: Tensor
        self.register_buffer("expected", torch.zeros(3, rows, columns))

    def expect(self, maps: ObjectMaps) -> None:
        """Sets each cell's expected location: a cubic of its row and column, fitted to the objects of `maps`."""
        batch, rows, columns = maps.present.nonzero().T
        powers = _cubic(rows / self.expected.shape[1], columns / self.expected.shape[2])
        fitted = torch.linalg.lstsq(powers, maps.locations[batch, :, rows, columns]).solution
        coordinates = torch.meshgrid(*(torch.arange(size) / size for size in self.expected.shape[1:]), indexing="ij")
        self.expected.copy_((_cubic(*coordinates) @ fitted).movedim(-1, 0))

    def forward(self, codes: Float[Tensor, "batch dim rows columns"]) -> tuple[Tensor, ...]:
        """Presence, the words of each field, offsets, locations: [batch, entries, rows, columns] each."""
        return *self.conv(codes).float().split(self.sizes, dim=1), self.location(codes).float() + self.expected

    def loss(self, codes: Float[Tensor, "batch dim rows columns"], maps: ObjectMaps) -> Float[Tensor, ""]:
        """Cross-entropies in nats for presence (a picture's mean object) and words, L1 of offset and location."""
        presence, *words, offsets, locations = self(codes)
        count = maps.present.sum().clamp(min=1)
        loss = F.binary_cross_entropy_with_logits(presence[:, 0], maps.present.float(), reduction="sum") / count
        for logits, target in zip(words, maps.words.unbind(1), strict=True):
            loss = loss + F.cross_entropy(logits.movedim(1, -1)[maps.present], target[maps.present])
        for output, target, weight in ((offsets, maps.offsets, 4.0), (locations, maps.locations, 8.0)):
            loss = loss + weight * (output - target).movedim(1, -1)[maps.present].abs().mean()
        return loss

    @torch.no_grad()
    def scores(self, codes: Float[Tensor, "batch dim rows columns"], maps: ObjectMaps) -> dict[str, float]:
        """F1 of presence; where an object is, accuracy of each field, mean offset error in cells, mean distance of the
        location in the scene's units."""
        presence, *words, offsets, locations = self(codes)
        found = presence[:, 0] > 0
        score = {
            "object_f1": (2 * (found & maps.present).sum() / (found.sum() + maps.present.sum()).clamp(min=1)).item()
        }
        for name, logits, target in zip(self.fields, words, maps.words.unbind(1), strict=True):
            score[name] = (logits.argmax(1) == target)[maps.present].float().mean().item()
        error = (offsets - maps.offsets).movedim(1, -1)[maps.present]
        distance = (locations - maps.locations).movedim(1, -1)[maps.present].norm(dim=-1)
        return score | {"offset_cells": error.abs().mean().item(), "location_error": distance.mean().item()}


def _cubic(rows: Tensor, columns: Tensor) -> Tensor:
    """All products of up to three factors: [..., 10]."""
    return torch.stack([rows**i * columns**j for i in range(4) for j in range(4 - i)], dim=-1)


@torch.enable_grad()
def fit_head(
    head: ObjectHead,
    codes: Float[Tensor, "batch dim rows columns"],
    maps: ObjectMaps,
    *,
    steps: int,
    generator: torch.Generator,
) -> None:
    """Trains the head alone on codes as they are, 128 random pictures a step."""
    head.expect(maps)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(steps):
        chosen = torch.randint(len(codes), (min(128, len(codes)),), generator=generator)
        optimizer.zero_grad()
        head.loss(codes[chosen], maps[chosen].to(codes.device)).backward()
        optimizer.step()
