"""What codes are to tell of a scene's objects: targets on the grid of codes, and a linear reading of them.

Reconstruction alone makes codes of mean colours: an object's shape and material are a few pixels in it. So a tokenizer
may be trained, beside it, to let its codes be *read*: one linear map of a code has to say whether an object's centre
lies in its cell, the object's words (shape, colour, ...), and where in the cell the centre lies.
What a linear map reads, a language model learns to read soon. The map is thrown away after the training; the idea, with
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

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, chosen: Tensor | slice) -> "ObjectMaps":
        return ObjectMaps(present=self.present[chosen], words=self.words[chosen], offsets=self.offsets[chosen])

    def to(self, device: torch.device | str) -> "ObjectMaps":
        return ObjectMaps(present=self.present.to(device), words=self.words.to(device), offsets=self.offsets.to(device))

    def mirrored(self, chosen: Bool[Tensor, " batch"]) -> "ObjectMaps":
        """The maps of pictures of which the chosen ones are flipped left to right."""
        pick = chosen[:, None, None]
        flipped = self.offsets.flip(3) * torch.tensor([-1.0, 1.0], device=self.offsets.device)[:, None, None]
        return ObjectMaps(
            present=torch.where(pick, self.present.flip(2), self.present),
            words=torch.where(pick[..., None], self.words.flip(3), self.words),
            offsets=torch.where(pick[..., None], flipped, self.offsets),
        )


def object_maps(scenes: Sequence[Scene], schema: SceneSchema, *, rows: int, columns: int) -> ObjectMaps:
    """Draws scenes onto the grid of codes (`shown_objects`).

    Raises SceneError for a scene without a camera, an object without a location, and a word that the schema lacks.
    """
    fields = [field for field in schema.fields if field.words]
    present = np.zeros((len(scenes), rows, columns), dtype=bool)
    words = np.zeros((len(scenes), len(fields), rows, columns), dtype=np.int64)
    offsets = np.zeros((len(scenes), 2, rows, columns), dtype=np.float32)
    for number, scene in enumerate(scenes):
        try:
            shown = shown_objects(scene, rows=rows, columns=columns)
        except SceneError as error:
            raise SceneError(f"scenes[{number}] {error}") from error
        for (row, column), (index, x, y) in shown.items():
            item = scene.objects[index]
            present[number, row, column] = True
            words[number, :, row, column] = [field.words.index(field.snap(item.get(field.name))) for field in fields]
            offsets[number, :, row, column] = x, y
    return ObjectMaps(
        present=torch.from_numpy(present), words=torch.from_numpy(words), offsets=torch.from_numpy(offsets)
    )


def shown_objects(scene: Scene, *, rows: int, columns: int) -> dict[tuple[int, int], tuple[int, float, float]]:
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
    """One linear map of a code -> presence, the words of each field, and the offset."""

    def __init__(self, schema: SceneSchema, *, embed_dim: int) -> None:
        super().__init__()
        self.fields = {field.name: len(field.words) for field in schema.fields if field.words}
        self.sizes = [1, *self.fields.values(), 2]
        self.conv = nn.Conv2d(embed_dim, sum(self.sizes), 1)

    def forward(self, codes: Float[Tensor, "batch dim rows columns"]) -> tuple[Tensor, ...]:
        return self.conv(codes).float().split(self.sizes, dim=1)

    def loss(self, codes: Float[Tensor, "batch dim rows columns"], maps: ObjectMaps) -> Float[Tensor, ""]:
        """Cross-entropies in nats for presence (a picture's mean object) and words, and the offset's L1 in cells."""
        presence, *words, offsets = self(codes)
        count = maps.present.sum().clamp(min=1)
        loss = F.binary_cross_entropy_with_logits(presence[:, 0], maps.present.float(), reduction="sum") / count
        for logits, target in zip(words, maps.words.unbind(1), strict=True):
            loss = loss + F.cross_entropy(logits.movedim(1, -1)[maps.present], target[maps.present])
        error = (offsets - maps.offsets).movedim(1, -1)[maps.present]
        return loss + 4.0 * error.abs().mean()

    @torch.no_grad()
    def scores(self, codes: Float[Tensor, "batch dim rows columns"], maps: ObjectMaps) -> dict[str, float]:
        """F1 of presence; accuracy of each field and mean offset error in cells, where an object is."""
        presence, *words, offsets = self(codes)
        found = presence[:, 0] > 0
        score = {
            "object_f1": (2 * (found & maps.present).sum() / (found.sum() + maps.present.sum()).clamp(min=1)).item()
        }
        for name, logits, target in zip(self.fields, words, maps.words.unbind(1), strict=True):
            score[name] = (logits.argmax(1) == target)[maps.present].float().mean().item()
        error = (offsets - maps.offsets).movedim(1, -1)[maps.present]
        return score | {"offset_cells": error.abs().mean().item()}


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
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(steps):
        chosen = torch.randint(len(codes), (min(128, len(codes)),), generator=generator)
        optimizer.zero_grad()
        head.loss(codes[chosen], maps[chosen].to(codes.device)).backward()
        optimizer.step()
