"""Scenes drawn to a picture: from above, over the picture they belong to, and a prediction against the truth.

From above, the scene's up axis points at the reader; the other two axes carry their names and the scene's units. An
object is filled in its color. Of a prediction, the truth is dashed, a line joins the two places of an object, what is
missing or too much is red, and a name in orange is that of an object with another attribute; all differences stand
below in words.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import ConvexHull, QhullError
from trimesh.visual.color import linear_to_srgb

from kyvo.errors import SceneError
from kyvo.export.primitives import TO_Y_UP, Meshes, linear_color, object_label, primitive
from kyvo.export.sheet import INK, enlarge
from kyvo.scene.diff import SceneDiff, diff
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import camera_of

SIDE = 640  # px; of the plan, and the height of the picture
DENSE = 2  # drawn this many times as large, then made smaller, which smooths edges
PAPER, LINES, WORDS, TRUTH = "#22262c", "#3a4048", "#dfe3e8", "#ffffff"
FAULT, CHANGED = "#ff5040", "#ffb648"
POINT = 0.06  # half the side of the mark of an object without a mesh, over the plan's
MAX_LINES = 16  # of text
MAX_LETTERS = 200  # of a label or line

Outline = Float[np.ndarray, "corners 2"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mark:
    """An object as seen from one side: its outline and its middle, in the plan's units or the picture's px."""

    index: int
    item: SceneObject
    outline: Outline
    middle: Float[np.ndarray, "2"]


def draw_view(
    scene: Scene,
    *,
    truth: Scene | None = None,
    picture: UInt8[np.ndarray, "height width 3"] | None = None,
    meshes: Meshes | None = None,
    truth_meshes: Meshes | None = None,
) -> Image.Image:
    """The scene from above; with `picture`, also over it; with `truth`, as a prediction against it.

    An object without a mesh (`kyvo.export.primitives.stage`) is a small square; one without a location is a text.

    Raises:
        SceneError: the two scenes differ in frame, up axis or units, or no camera says where objects are in `picture`.
    """
    found = None if truth is None else diff(truth, scene)
    panels = []
    if picture is not None:
        panels.append(_over_picture(picture, scene, truth, found, meshes, truth_meshes))
    panels.append(_from_above(scene, truth, found, meshes, truth_meshes))
    return _page(panels, _words(scene, truth, found))


def draw_outlines(
    picture: UInt8[np.ndarray, "height width 3"],
    scene: Scene,
    *,
    named: Sequence[int] = (),
    meshes: Meshes | None = None,
) -> Image.Image:
    """The picture with the outline of each object where the scene's camera sees it, and its name at `named` ones.

    Where some are named, all others are drawn thinly. Raises SceneError where no camera says where objects are.
    """
    height, width = picture.shape[:2]
    camera = camera_of(scene, width, height)
    if camera is None:
        raise SceneError("the scene has no camera, which says where its objects are in the picture.")
    image = Image.fromarray(picture).resize((width * DENSE, height * DENSE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    marks = list(_seen(scene, camera, DENSE, meshes))
    for mark in marks:
        strong = mark.index in named
        outline = [tuple(point) for point in mark.outline.tolist()]
        wide = DENSE * (4 if strong else 1 if named else 2)
        draw.line([*outline, outline[0]], fill=TRUTH if strong else _ink(mark.item), width=wide, joint="curve")
    for mark in marks:
        if mark.index in named:
            _label(image, mark, object_label(mark.item), TRUTH)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def outline_labels(
    scene: Scene, width: int, height: int, *, meshes: Meshes | None = None
) -> Int[np.ndarray, "height width"]:
    """At each pixel of the scene's picture, 1 + the index of the nearest object whose outline holds it; else 0.

    An outline is convex: it also holds the gaps of a shape, as between a chair's legs. Raises SceneError where no
    camera says where objects are.
    """
    camera = camera_of(scene, width, height)
    if camera is None:
        raise SceneError("the scene has no camera, which says where its objects are in the picture.")
    labels = Image.new("I", (width, height))
    draw = ImageDraw.Draw(labels)
    for mark in _seen(scene, camera, 1, meshes):
        draw.polygon([tuple(point) for point in mark.outline.tolist()], fill=1 + mark.index)
    return np.array(labels)


def difference_lines(found: SceneDiff, truth: Scene, scene: Scene) -> list[str]:
    """What a prediction has otherwise than the truth, a line each; the gravest first."""
    lines = [f"missing: {object_label(truth.objects[index])}" for index in found.removed]
    lines += [f"too much: {object_label(scene.objects[index])}" for index in found.added]
    for change in found.changed:
        label = object_label(truth.objects[change.before])
        lines.append(f"{change.attribute} {_shown(change.new)}, in truth {_shown(change.old)}: {label}")
    for move in sorted(found.moved, key=lambda move: -move.distance):
        lines.append(f"off by {move.distance:.3g} {scene.units}: {object_label(truth.objects[move.before])}")
    return lines or ["no difference"]


def _words(scene: Scene, truth: Scene | None, found: SceneDiff | None) -> list[str]:
    placeless = [
        f"without location, not drawn: objects[{index}], {object_label(item)}"
        for index, item in enumerate(scene.objects)
        if item.location is None
    ]
    if truth is None or found is None:
        return _first(placeless)
    lines = placeless + difference_lines(found, truth, scene)
    key = f"filled: {len(scene)} predicted   dashed: {len(truth)} in truth   red: missing or too much   orange: changed"
    return [key, *_first(lines)]


def _first(lines: list[str]) -> list[str]:
    return lines[:MAX_LINES] + ([f"and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else [])


def _from_above(
    scene: Scene,
    truth: Scene | None,
    found: SceneDiff | None,
    meshes: Meshes | None,
    truth_meshes: Meshes | None,
) -> Image.Image:
    axes = np.array(TO_Y_UP[scene.up_axis], dtype=float)
    plan = np.stack([axes[0], -axes[2]])  # rows: what goes right, and what goes up the page
    ours = list(_marks(scene, plan, meshes))
    theirs = [] if truth is None else list(_marks(truth, plan, truth_meshes))
    camera = (truth.camera if truth else None) or scene.camera
    origin = np.zeros((1 if scene.frame == "camera" else 0, 2))  # where the camera is
    spots = np.concatenate([origin, *(mark.outline for mark in ours + theirs)])
    low, high = (spots.min(0), spots.max(0)) if len(spots) else (-np.ones(2), np.ones(2))
    half = max(float((high - low).max()) * 0.6, 0.5)
    middle = (low + high) / 2
    side = SIDE * DENSE

    def to_page(points: np.ndarray) -> np.ndarray:
        return (np.atleast_2d(points) - middle) * (1, -1) * side / (2 * half) + side / 2

    image = Image.new("RGB", (side, side), PAPER)
    _draw_grid(image, plan, middle, half, scene.units, to_page)
    place = None if camera is None else plan @ np.array(camera.location)
    if place is None and scene.frame == "camera":
        place = np.zeros(2)
    if place is not None:
        forward = np.array((0.0, 0.0, 1.0) if camera is None else camera.rotation[2]) @ plan.T
        _draw_camera(image, to_page(np.clip(place, middle - 0.96 * half, middle + 0.96 * half))[0], forward * (1, -1))
    on_page = [
        [replace(mark, outline=to_page(mark.outline), middle=to_page(mark.middle)[0]) for mark in marks]
        for marks in (ours, theirs)
    ]
    return _draw_marks(image, on_page[0], on_page[1], found)


def _over_picture(
    picture: UInt8[np.ndarray, "height width 3"],
    scene: Scene,
    truth: Scene | None,
    found: SceneDiff | None,
    meshes: Meshes | None,
    truth_meshes: Meshes | None,
) -> Image.Image:
    height, width = picture.shape[:2]
    camera = camera_of(truth if truth is not None and truth.camera else scene, width, height)
    if camera is None:
        raise SceneError("the scene has no camera, which says where its objects are in the picture. Leave out --image.")
    scale = SIDE * DENSE / height
    image = enlarge(picture, 1).resize((round(width * scale), SIDE * DENSE), Image.Resampling.BICUBIC)
    ours = _seen(scene, camera, scale, meshes)
    theirs = [] if truth is None else _seen(truth, camera, scale, truth_meshes)
    return _draw_marks(image, list(ours), list(theirs), found, fill=0)


def _marks(scene: Scene, plan: Float[np.ndarray, "2 3"], meshes: Meshes | None) -> Iterator[Mark]:
    """Objects from above, in the scene's units, the lowest first."""
    rows = [(index, item) for index, item in enumerate(scene.objects) if item.location is not None]
    up = np.array(TO_Y_UP[scene.up_axis][1])
    for index, item in sorted(rows, key=lambda row: float(up @ np.array(row[1].location))):
        points = _points(scene, index, meshes) @ plan.T
        yield Mark(index=index, item=item, outline=_hull(points), middle=plan @ np.array(item.location))


def _seen(scene: Scene, camera: Camera, scale: float, meshes: Meshes | None) -> list[Mark]:
    """Objects as the camera sees them, in px times `scale`, the farthest first; those behind it are left out."""
    rows = []
    for index, item in enumerate(scene.objects):
        if item.location is None:
            continue
        points = camera.project(np.concatenate([[item.location], _points(scene, index, meshes)]))
        if (points[:, 2] > 1e-6).all():
            pixels = points[:, :2] * scale
            rows.append((points[0, 2], Mark(index=index, item=item, outline=_hull(pixels[1:]), middle=pixels[0])))
    return [mark for _, mark in sorted(rows, key=lambda row: -row[0])]


def _points(scene: Scene, index: int, meshes: Meshes | None) -> Float[np.ndarray, "points 3"]:
    """Points of the object's surface in the scene's frame; the corners of a small cube where it has no mesh."""
    try:
        return primitive(scene, index, (meshes or {}).get(index)).points
    except SceneError:
        corners = np.stack(np.meshgrid(*[(-POINT, POINT)] * 3), axis=-1).reshape(-1, 3)
        return corners + np.array(scene.objects[index].location)


def _hull(points: Float[np.ndarray, "points 2"]) -> Outline:
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # a box without extent
        return points


def _draw_marks(
    image: Image.Image, ours: Sequence[Mark], theirs: Sequence[Mark], found: SceneDiff | None, fill: int = 130
) -> Image.Image:
    wide = 2 * DENSE
    for mark in ours:
        red = found is not None and mark.index in found.added
        _shade(image, mark, fill=fill, edge=FAULT if red else None, width=wide * 2 if red else wide)
    draw = ImageDraw.Draw(image)
    for mark in theirs:
        red = found is not None and mark.index in found.removed
        _dashed(draw, mark.outline, FAULT if red else TRUTH, wide if red else DENSE)
    centers = {mark.index: mark.middle for mark in ours}, {mark.index: mark.middle for mark in theirs}
    for move in found.moved if found else ():
        if move.after in centers[0] and move.before in centers[1]:
            ends = [tuple(centers[1][move.before].tolist()), tuple(centers[0][move.after].tolist())]
            draw.line(ends, fill=TRUTH, width=DENSE)
    changed = {change.after for change in found.changed} if found else set()
    for mark in ours:
        if found is not None and mark.index in found.added:
            _label(image, mark, f"too much: {object_label(mark.item)}", FAULT)
        else:
            _label(image, mark, object_label(mark.item), CHANGED if mark.index in changed else WORDS)
    for mark in theirs:
        if found is not None and mark.index in found.removed:
            _label(image, mark, f"missing: {object_label(mark.item)}", FAULT)
    return image


def _shade(image: Image.Image, mark: Mark, *, fill: int, edge: str | None, width: int) -> None:
    """Lays the object's outline over the image, `fill` of 255 opaque; only the part of the image that it covers is
    touched, so that many objects take no longer each than few."""
    low = np.floor(mark.outline.min(0)).astype(int) - width
    high = np.ceil(mark.outline.max(0)).astype(int) + width + 1
    low, high = np.clip(low, 0, image.size).tolist(), np.clip(high, 0, image.size).tolist()
    if low[0] >= high[0] or low[1] >= high[1]:
        return
    part = image.crop((*low, *high)).convert("RGBA")
    shade, ink = Image.new("RGBA", part.size), _ink(mark.item)
    outline = [tuple(point) for point in (mark.outline - low).tolist()]
    draw = ImageDraw.Draw(shade)
    draw.polygon(outline, fill=(*ink, fill))
    draw.line([*outline, outline[0]], fill=edge or (*ink, 255), width=width)
    image.paste(Image.alpha_composite(part, shade).convert("RGB"), tuple(low))


def _ink(item: SceneObject) -> tuple[int, int, int]:
    if item.color in INK:
        text = INK[item.color]
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    red, green, blue = (np.asarray(linear_to_srgb(np.array(linear_color(item)))) * 255).astype(int).tolist()
    return red, green, blue


def _label(image: Image.Image, mark: Mark, text: str, ink: str) -> None:
    (left, top), stamp = _stamp(text[:MAX_LETTERS], ink)
    x, y = np.round(mark.middle).astype(int).tolist()
    image.paste(stamp, (x + left, y + top), stamp)


@lru_cache(maxsize=1024)
def _stamp(text: str, ink: str) -> tuple[tuple[int, int], Image.Image]:
    """The words with an edge around them, and where their upper left corner is from their middle. Many objects share
    few words, and drawing these takes most of the time."""
    style: dict[str, Any] = {"anchor": "mm", "font": _font(12), "stroke_width": DENSE}
    box = ImageDraw.Draw(Image.new("L", (1, 1))).textbbox((0, 0), text, **style)
    left, top, right, low = (math.floor(box[0]) - 1, math.floor(box[1]) - 1, math.ceil(box[2]), math.ceil(box[3]))
    stamp = Image.new("RGBA", (right - left + 1, low - top + 1))
    ImageDraw.Draw(stamp).text((-left, -top), text, fill=ink, stroke_fill="#101215", **style)
    return (left, top), stamp


def _dashed(draw: ImageDraw.ImageDraw, outline: Outline, ink: str, width: int, dash: float = 7 * DENSE) -> None:
    """The closed outline in dashes of equal length, whatever the number of its corners."""
    ends = np.concatenate([outline, outline[:1]])
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ends, axis=0), axis=1))])
    count = max(2 * round(float(way[-1]) / dash / 2), 2)
    for start in np.arange(0, count, 2):
        steps = np.linspace(start, start + 1, 6) * way[-1] / count
        points = np.stack([np.interp(steps, way, ends[:, axis]) for axis in (0, 1)], axis=1)
        draw.line([tuple(point) for point in points.tolist()], fill=ink, width=width)


def _draw_grid(
    image: Image.Image,
    plan: Float[np.ndarray, "2 3"],
    middle: Float[np.ndarray, "2"],
    half: float,
    units: str,
    to_page: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Lines at round numbers of the scene's own axes, with the numbers and the axes' names."""
    draw = ImageDraw.Draw(image)
    step = min((10.0**power * times for power in range(-3, 10) for times in (1, 2, 5)), key=lambda s: abs(half / s - 4))
    side = image.width
    for axis, row in enumerate(plan):
        name = "xyz"[int(np.abs(row).argmax())]
        sign = float(row[np.abs(row).argmax()])  # -1 where the scene's axis runs the other way
        first = math.ceil((middle[axis] - half) / step)
        for number in range(first, math.floor((middle[axis] + half) / step) + 1):
            spot = np.array(middle, dtype=float)
            spot[axis] = number * step
            at = float(to_page(spot)[0, axis])
            ends = [(at, 0), (at, side)] if axis == 0 else [(0, at), (side, at)]
            draw.line(ends, fill=LINES if number else "#5a626c", width=DENSE)
            place, anchor = ((at + 4, side - 4), "ld") if axis == 0 else ((4, at - 4), "ld")
            draw.text(place, f"{number * step * sign + 0.0:g}", fill="#8a929c", font=_font(10), anchor=anchor)
        place, anchor = ((side - 8, side - 24 * DENSE), "rd") if axis == 0 else ((40 * DENSE, 8), "la")
        arrow = ("<", ">") if axis == 0 else ("v", "^")  # the font has no arrows
        draw.text(place, f"{arrow[sign > 0]} {name} ({units})", fill=WORDS, font=_font(12), anchor=anchor)


def _draw_camera(image: Image.Image, place: np.ndarray, forward: np.ndarray) -> None:
    """A small triangle whose base looks along `forward` (px)."""
    length = float(np.linalg.norm(forward))
    if length < 1e-6:  # it looks straight down
        return
    along = forward / length * 14 * DENSE
    across = np.array([-along[1], along[0]]) * 0.6
    corners = [place, place + along + across, place + along - across]
    draw = ImageDraw.Draw(image)
    draw.polygon([tuple(corner.tolist()) for corner in corners], outline=WORDS, width=DENSE)


def _page(panels: Sequence[Image.Image], lines: Sequence[str]) -> Image.Image:
    small = [panel.resize((panel.width // DENSE, SIDE), Image.Resampling.LANCZOS) for panel in panels]
    font = _font(14, dense=1)
    line = 20
    width = sum(panel.width for panel in small) + 8 * (len(small) - 1)
    page = Image.new("RGB", (width, SIDE + (12 + line * len(lines) if lines else 0)), "#14171b")
    left = 0
    for panel in small:
        page.paste(panel, (left, 0))
        left += panel.width + 8
    draw = ImageDraw.Draw(page)
    for number, text in enumerate(lines):
        red = text.startswith(("missing", "too much", "without location"))
        draw.text((10, SIDE + 6 + number * line), text[:MAX_LETTERS], font=font, fill=FAULT if red else WORDS)
    return page


@cache
def _font(size: int, dense: int = DENSE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size * dense)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{number:.3g}" for number in value[:6]) + (" ..." if len(value) > 6 else "")
    return "none" if value is None else str(value)
