"""Contact sheets of data sets: a row of the set in each line, with its pictures and texts."""

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kyvo.data.dataset import open_set
from kyvo.export.sheet import contact_sheet, draw_scene, enlarge
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene


def show_set(folder: Path, *, count: int = 6, start: int = 0, factor: int = 2) -> Image.Image:
    """The sheet of `count` rows from `start` on, pictures enlarged by `factor`. Raises ConfigError for no set."""
    rows: Any = open_set(folder)  # its rows are dicts, which datasets does not tell a type checker
    chosen = rows.select(range(min(start, len(rows)), min(start + count, len(rows))))
    if "captions" in rows.column_names:
        lines = [_object_line(row) for row in chosen]
        return contact_sheet(lines, [*(["picture"] * (max(map(len, lines), default=1) - 1)), "captions"])
    lines = [_line(row, factor) for row in chosen]
    titles = ["picture", "scene"] + (["target"] if "target_image" in rows.column_names else []) + ["text"]
    return contact_sheet(lines, titles)


def _line(row: dict[str, Any], factor: int) -> list[Image.Image]:
    picture = np.asarray(row["image"].convert("RGB"))
    scene = scene_from_json(json.loads(row["scene"]))
    cells = [enlarge(picture, factor), _over(picture, scene, factor)]
    if "target_image" in row:
        cells.append(enlarge(np.asarray(row["target_image"].convert("RGB")), factor))
    return [*cells, _text(_words(row, scene), cells[0].size)]


def _object_line(row: dict[str, Any]) -> list[Image.Image]:
    """Of a set of single objects."""
    cells = []
    for picture in row["pictures"]:
        rgba = picture.convert("RGBA")
        cells.append(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    return [*cells, _text(row["captions"], cells[0].size)]


def _over(picture: np.ndarray, scene: Scene, factor: int) -> Image.Image:
    if scene.camera is None:
        return enlarge(picture, factor)
    height, width = picture.shape[:2]
    return draw_scene(picture, scene, scene.camera.resized(width, height), factor=factor)


def _words(row: dict[str, Any], scene: Scene) -> list[str]:
    if "instruction" in row:
        return [row["instruction"], f"({row['edit']})"]
    if "questions" in row:
        return [f"{item['question']} {item['answer']}" for item in row["questions"]]
    named = ("size", "color", "material", "shape", "category")
    return [" ".join(str(item.get(name)) for name in named if item.get(name)) for item in scene.objects]


def _text(paragraphs: list[str], size: tuple[int, int]) -> Image.Image:
    cell = Image.new("RGB", size, "#303030")
    height = max(10, size[0] // 30)  # of a letter
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, int(1.9 * size[0] / height))]
    font = ImageFont.load_default(size=height)
    shown = "\n".join(lines[: int(size[1] / (1.25 * height))])
    ImageDraw.Draw(cell).multiline_text((5, 3), shown, fill="white", font=font, spacing=height // 6)
    return cell
