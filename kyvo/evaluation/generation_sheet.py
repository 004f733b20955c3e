"""A picture of generated objects, each beside its held-out one and the nearest one of the training set."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from kyvo.evaluation.generation import JudgedObject
from kyvo.export.sheet import contact_sheet
from kyvo.shapes.pictures import TURNS, label, side_views

MOST = 24  # objects on one sheet
SIZE = 128  # px of a picture


def generation_sheet(
    items: Sequence[Mapping[str, Any]],
    made: Mapping[str, JudgedObject],
    truth: Mapping[str, JudgedObject],
    training: Mapping[str, JudgedObject],
) -> Image.Image:
    """A row of each of `Results.items`: four sides of what was made, one of the true object, one of the nearest."""
    rows = []
    for item in items[:MOST]:
        views = side_views(made[item["key"]].mesh, size=SIZE)
        label(views[0], item["key"])
        for other in (truth.get(item["key"]), training.get(item.get("nearest_in_training", ""))):
            blank = Image.new("RGB", (SIZE, SIZE), "white")
            views.append(blank if other is None else side_views(other.mesh, turns=TURNS[:1], size=SIZE)[0])
        rows.append(views)
    sides = [f"from {turn % 360:.0f}\N{DEGREE SIGN}" for turn in TURNS]
    return contact_sheet(rows, [*sides, "held out", "nearest in training"])
