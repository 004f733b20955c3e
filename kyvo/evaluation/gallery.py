"""The items of a report to look through, worst first: prediction over truth, in the picture and from above.

Green: a prediction that found its object. Red: one that matches none. Amber, broken from above: a true object that no
prediction found. What an item holds is in `kyvo.evaluation.scenes`; items of other kinds are shown as their values.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kyvo.errors import ImageError, SceneError
from kyvo.export.sheet import mark
from kyvo.scene.files import camera_from_json, object_from_json
from kyvo.scene.scene import Camera, SceneObject
from kyvo.scene.schema import clevr_camera
from kyvo.tokenizers.pictures import SUFFIXES, read_picture

FOUND, WRONG, MISSED = "#2fbf71", "#ff5a4f", "#f5b83d"
WIDTH = 520  # px of a picture in the page
_DRAWN = ("predicted", "true", "pairs", "misses", "extras", "nearest", "by_tau", "camera")  # else shown as values


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The HTML of the items shown, and what there is to say of the others."""

    entries: tuple[str, ...]
    notes: tuple[str, ...]


def make_gallery(
    items: Sequence[Mapping[str, Any]],
    *,
    schema: str,
    frame: str,
    images: Path | None,
    limit: int,
    measure: str = "distance",
) -> Gallery:
    """The `limit` items of the lowest score, each as an HTML article.

    Args:
        schema: where it is "clevr", pictures of items without a camera are marked through CLEVR's own.
        frame: "world" (from above: x to the right, y upwards) or "camera" (x to the right, depth upwards).
        images: folder of pictures named by the items' keys; without it scenes are drawn from above only.
        measure: what the number of a pair is.
    """
    scored = sorted((item for item in items if item.get("score") is not None), key=lambda item: item["score"])
    notes = []
    if len(scored) > limit:
        notes.append(
            f"The {limit} of {len(scored)} items with the lowest score; {len(scored) - limit} more are not shown."
        )
    if len(items) > len(scored):
        notes.append(f"{len(items) - len(scored)} items have no score and are not shown.")
    entries, unseen, guessed, unmarked = [], [], 0, 0
    for item in scored[:limit]:
        picture = None
        try:
            picture = None if images is None else _find_picture(images, item)
        except ImageError as error:
            unseen.append(str(error))
        camera = None
        if picture is not None:
            height, width = picture.shape[:2]
            camera = _camera(item, width, height)
            if camera is None and schema == "clevr":
                camera, guessed = clevr_camera(width, height), guessed + 1
            unmarked += camera is None and "predicted" in item
        entries.append(_entry(item, picture, camera, frame, measure))
    if unseen:
        notes.append(f"{len(unseen)} items have no picture, the first because: {unseen[0]}")
    if guessed:
        notes.append(
            f"{guessed} items say no camera; marks stand where CLEVR's camera without jitter sees the objects."
        )
    if unmarked:
        notes.append(f"{unmarked} pictures are unmarked, since their items say no camera.")
    return Gallery(entries=tuple(entries), notes=tuple(notes))


def from_above(item: Mapping[str, Any], *, frame: str, side: int = 280) -> str:
    """An SVG of an item's truth (rings) and prediction (dots), joined where they are a pair."""
    axes = (0, 2) if frame == "camera" else (0, 1)
    truth, ours = ([_point(row, axes) for row in item[name]] for name in ("true", "predicted"))
    points = np.array([point for point in (*truth, *ours) if point] or [(0.0, 0.0)])
    low, high = points.min(0), points.max(0)
    span = max(float((high - low).max()), 1.0) * 1.2
    corner = (low + high) / 2 - span / 2

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (np.asarray(point) - corner) / span * side
        return round(float(x), 1), round(side - float(y), 1)

    found = {j for _, j, *_ in item["pairs"]}, {i for i, *_ in item["pairs"]}
    parts = [
        f'<svg viewBox="0 0 {side} {side}" width="{side}" height="{side}" role="img" aria-label="seen from above">'
    ]
    for i, j, *_ in item["pairs"]:
        if ours[i] and truth[j]:
            (x1, y1), (x2, y2) = place(ours[i]), place(truth[j])
            parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{FOUND}"/>')
    for index, (point, row) in enumerate(zip(truth, item["true"], strict=True)):
        if point:
            x, y = place(point)
            ink, broken = (FOUND, "") if index in found[0] else (MISSED, ' stroke-dasharray="3 2"')
            parts.append(
                f'<circle cx="{x}" cy="{y}" r="9" fill="none" stroke="{ink}" stroke-width="2"{broken}>'
                f"<title>true: {escape(_words(row))}</title></circle>"
            )
    for index, (point, row) in enumerate(zip(ours, item["predicted"], strict=True)):
        if point:
            x, y = place(point)
            ink = FOUND if index in found[1] else WRONG
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{ink}"><title>{escape(_words(row))}</title></circle>')
    return "".join([*parts, "</svg>"])


def _entry(item: Mapping[str, Any], picture: np.ndarray | None, camera: Camera | None, frame: str, measure: str) -> str:
    key, score = str(item["key"]), float(item["score"])
    parts = []
    is_scene = all(name in item for name in ("predicted", "true", "pairs", "misses", "extras"))
    if picture is not None:
        parts.append(
            f'<img alt="{escape(key)}" src="{_data_uri(_marked(picture, item, camera if is_scene else None))}">'
        )
    if is_scene:
        parts.append(from_above(item, frame=frame))
        parts.append(_objects(item, measure))
    drawn = _DRAWN if is_scene else ()
    parts.append(_values({name: value for name, value in item.items() if name not in drawn}))
    return f'<article data-key="{escape(key)}" data-score="{escape(repr(score))}" hidden>{"".join(parts)}</article>'


def _marked(picture: np.ndarray, item: Mapping[str, Any], camera: Camera | None) -> Image.Image:
    """The picture at the page's width, with the objects where they are seen."""
    image = Image.fromarray(picture)
    height = max(1, round(image.height * WIDTH / image.width))
    image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    if camera is None:
        return image
    camera = camera.resized(WIDTH, height)
    truth, ours = (
        [object_from_json(row, f"{item['key']}: {name}[{i}]") for i, row in enumerate(item[name])]
        for name in ("true", "predicted")
    )
    labelled = {j for i, j, _ in item.get("nearest", ()) if i in item["extras"]}  # the extra's words stand there
    missed = [truth[j] for j in item["misses"]]
    mark(image, missed, camera, ink=MISSED, words=["" if j in labelled else _say(truth[j]) for j in item["misses"]])
    for marked, ink in ((item["extras"], WRONG), ([i for i, *_ in item["pairs"]], FOUND)):
        objects = [ours[i] for i in marked]
        mark(image, objects, camera, ink=ink, words=[_say(entry) for entry in objects])
    return image


def _objects(item: Mapping[str, Any], measure: str) -> str:
    """A line for each object, what went wrong first."""
    nearest = {i: (j, distance) for i, j, distance in item.get("nearest", ())}
    lines = []
    for index in item["extras"]:
        row = item["predicted"][index]
        note = ""
        if index in nearest:
            j, distance = nearest[index]
            other = item["true"][j]
            apart = [name for name in sorted(row.keys() | other.keys()) if isinstance(row.get(name, ""), str)]
            apart = [f"{name} {other.get(name)}" for name in apart if row.get(name) != other.get(name)]
            note = f"nearest true object at {distance:.3g}" + (f", truly {', '.join(apart)}" if apart else "")
        lines.append((WRONG, "no match", row, note))
    lines += [(MISSED, "missed", item["true"][index], "") for index in item["misses"]]
    lines += [(FOUND, "found", item["predicted"][i], f"{measure} {value:.3g}") for i, _, value in item["pairs"]]
    rows = "".join(
        f'<tr><td><span class="dot" style="background:{ink}"></span>{status}</td><td>{escape(_words(row))}</td>'
        f"<td>{escape(note)}</td></tr>"
        for ink, status, row, note in lines
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _values(item: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(_short(value))}</td></tr>"
        for name, value in item.items()
        if name != "score" and value is not None
    )
    return f"<table><tbody>{rows}</tbody></table>"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_short(entry)}" for name, entry in value.items())
    text = str(value)
    return text if len(text) <= 300 else text[:300] + f" … ({len(text)} characters)"


def _words(row: Mapping[str, Any]) -> str:
    """What an object in scene JSON is called, with its confidence where it has one."""
    named = [str(row[name]) for name in ("size", "color", "material", "shape", "category") if row.get(name)]
    sure = row.get("confidence")
    return " ".join(named or ["object"]) + (f" ({sure:.2f})" if isinstance(sure, int | float) else "")


def _say(item: SceneObject) -> str:
    return " ".join(word for word in (item.size, item.color, item.material, item.shape, item.category) if word)


def _point(row: Mapping[str, Any], axes: tuple[int, int]) -> tuple[float, float] | None:
    location = row.get("location")
    if location is None or not all(math.isfinite(value) for value in location):
        return None
    return location[axes[0]], location[axes[1]]


def _camera(item: Mapping[str, Any], width: int, height: int) -> Camera | None:
    if item.get("camera") is None:
        return None
    try:
        return camera_from_json(item["camera"], f"{item['key']}: camera").resized(width, height)
    except SceneError:
        return None  # marks are an addition; the figures do not depend on them


def _find_picture(images: Path, item: Mapping[str, Any]) -> np.ndarray:
    """The picture of an item, by the name it gives or by its key. Raises ImageError where none can be read."""
    key = str(item.get("image") or item["key"])
    folder = images.resolve()
    for name in (key, *(key + suffix for suffix in SUFFIXES)):
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.suffix.lower() in SUFFIXES and path.is_file():
            return read_picture(path)
    raise ImageError(f"{images} holds no picture called {key} ({', '.join(SUFFIXES)}).")


def _data_uri(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
