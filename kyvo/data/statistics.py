"""Statistics of data sets: counts of objects, words, locations and answers, as numbers and as a plot."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kyvo.data.dataset import open_set
from kyvo.errors import SceneError
from kyvo.extras import extra
from kyvo.files import write_figure
from kyvo.scene.files import scene_from_json

WORDS = ("shape", "category", "size", "color", "material")
TEXTS = ("edit",)  # columns whose values are counted


def count_set(folder: Path) -> dict[str, dict[str, int]]:
    """Under each name ("objects", "shape", ..., "edit", "answer", "family") how often each value occurs.

    "x" and "y" count places of objects in steps of half a unit. Raises ConfigError where there is no set, and
    SceneError with the row whose scene cannot be read.
    """
    rows: Any = open_set(folder)  # its rows are dicts, which datasets does not tell a type checker
    counts: dict[str, Counter[str]] = {}

    def add(name: str, value: Any) -> None:
        counts.setdefault(name, Counter())[str(value)] += 1

    if "num_cells" in rows.column_names:  # single objects
        for row in rows.select_columns(["category", "num_cells", "captions"]):
            add("category", row["category"])
            add("cells", 250 * round(row["num_cells"] / 250))
            add("captions", len(row["captions"]))
        return _sorted(counts)
    columns = [name for name in ("scene", "questions", *TEXTS) if name in rows.column_names]
    for number, row in enumerate(rows.select_columns(columns)):
        try:
            scene = scene_from_json(json.loads(row["scene"]))
        except SceneError as error:
            raise SceneError(f"row {number} of {folder}: {error}") from error
        add("objects", len(scene))
        for item in scene.objects:
            for name in WORDS:
                if item.get(name) is not None:
                    add(name, item.get(name))
            for axis, value in zip("xy", item.location or (), strict=False):
                add(axis, round(2 * value) / 2)
        for name in TEXTS:
            if name in row:
                add(name, row[name])
        for question in row.get("questions", ()):
            add("family", question["family"])
            add("answer", question["answer"])
    return _sorted(counts)


def _sorted(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(values.items(), key=lambda pair: _order(pair[0]))) for name, values in counts.items()}


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by their value, before words."""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def plot_counts(counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """One bar chart for each name, on one PNG."""
    with extra("data"):
        from matplotlib.figure import Figure  # a second to import; and pyplot would look for a display

    columns = 3
    lines = -(-len(counts) // columns)
    figure = Figure(figsize=(4.5 * columns, 3 * lines), layout="constrained")
    for place, (name, values) in enumerate(counts.items(), start=1):
        axes = figure.add_subplot(lines, columns, place)
        axes.bar(list(values), list(values.values()), color="#4878a8")
        axes.set_title(f"{name} ({sum(values.values()):,})", fontsize=10)
        axes.tick_params(axis="x", labelrotation=90 if len(values) > 8 else 0, labelsize=7)
        axes.tick_params(axis="y", labelsize=7)
    write_figure(path, figure, dpi=110)
