"""Omni3D's annotations as boxes, and the reading of one row in Omni3D's form.

Annotations are ignored, not dropped, as Omni3D does in its evaluation: see `IGNORED`. Ids are compared as
`kyvo.data.omni3d.identity` has them: 1, 1.0 and "1" are one id. Null is unknown, as -1 is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.omni3d import identity, known_flag
from kyvo.errors import SceneError
from kyvo.evaluation.inputs import clean_key
from kyvo.metrics.average_precision import Boxes
from kyvo.metrics.boxes import Cuboids, cuboids_from_corners
from kyvo.scene.files import read_json

HIDDEN = 1 / 3  # truncation from here on, visibility up to here: Cube R-CNN's test settings
HEIGHTS = (0.05, 1.5)  # of a rectangle over the picture's height, exclusive
IGNORED = (
    "behind the camera, not valid3D, an extent that is not above 0, no lidar or segmentation point, depth_error > 0.5, "
    "2D height at most 0.05 or at least 1.5 of the picture's, truncation >= 1/3, visibility <= 1/3"
)


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """The truth of one Omni3D file."""

    path: Path
    keys: tuple[str, ...]  # of the pictures, `file_path` without its suffix
    images: dict[Any, int]  # image_id -> picture
    categories: dict[Any, int]  # category_id -> category
    names: tuple[str, ...]  # of the categories
    boxes: Boxes
    has_rectangles: bool
    excluded: tuple[dict[str, str], ...]


def read_annotations(path: Path) -> Annotations:
    """The boxes of an Omni3D file, those that its evaluation ignores marked.

    Raises:
        SceneError: the file as a whole is unusable, or a picture stands twice.
    """
    data = read_json(path)
    for name in ("categories", "images", "annotations"):
        if not isinstance(data, dict) or not isinstance(data.get(name), list):
            raise SceneError(f"{path}: no list `{name}`; Omni3D's annotations have categories, images and annotations.")
    prefixes = [f"{path}: images[{index}]" for index in range(len(data["images"]))]
    images: dict[Any, int] = {
        row_id(row, where): index for index, (row, where) in enumerate(zip(data["images"], prefixes, strict=True))
    }
    keys = tuple(clean_key(str(row.get("file_path") or identity(row["id"]))) for row in data["images"])
    if len(images) < len(keys) or len(set(keys)) < len(keys):
        raise SceneError(f"{path}: a picture stands twice in `images`; remove one of the two.")
    heights = [_height(row, where) for row, where in zip(data["images"], prefixes, strict=True)]
    prefixes = [f"{path}: categories[{index}]" for index in range(len(data["categories"]))]
    categories: dict[Any, int] = {
        row_id(row, where): i for i, (row, where) in enumerate(zip(data["categories"], prefixes, strict=True))
    }
    names = tuple(row_name(row, where) for row, where in zip(data["categories"], prefixes, strict=True))
    if len(categories) < len(names):
        raise SceneError(f"{path}: an id stands twice in `categories`; remove one of the two.")
    kept, excluded = BoxRows(), []
    for index, row in enumerate(data["annotations"]):
        key = f"annotations[{index}]"
        if not isinstance(row, dict):
            raise SceneError(f"{path}: {key} is no object with named fields.")
        image, category = images.get(identity(row.get("image_id"))), categories.get(identity(row.get("category_id")))
        if image is None or category is None:
            excluded.append({"key": key, "reason": "its picture or category is not in the file"})
            continue
        corners = row_corners(row, "bbox3D_cam", "R_cam")
        if isinstance(corners, str):
            excluded.append({"key": key, "reason": corners})
            continue
        rectangle = row_rectangle(row)
        kept.add(key, image, category, corners, rectangle, 1.0, _ignore(row, rectangle, heights[image]))
    boxes, bad = kept.boxes()
    excluded += bad
    return Annotations(
        path=path,
        keys=keys,
        images=images,
        categories=categories,
        names=names,
        boxes=boxes,
        has_rectangles=bool(np.isfinite(boxes.rectangles).all()),
        excluded=tuple(excluded),
    )


class BoxRows:
    """Rows that are collected one by one, then made into `Boxes`."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.rows: list[tuple[int, int, np.ndarray, np.ndarray | None, float, bool]] = []

    def add(
        self,
        key: str,
        image: int,
        category: int,
        corners: np.ndarray,
        rectangle: np.ndarray | None,
        score: float,
        ignored: bool,
    ) -> None:
        self.keys.append(key)
        self.rows.append((image, category, corners, rectangle, score, ignored))

    def boxes(self) -> tuple[Boxes, list[dict[str, str]]]:
        """The boxes, and the rows left out as their corners are no box's."""
        unknown = np.full(4, np.nan)
        images, categories, corners, rectangles, scores, ignored = (
            zip(*self.rows, strict=True) if self.rows else [()] * 6
        )
        cuboids, whole = cuboids_from_corners(np.asarray(corners, dtype=float).reshape(-1, 8, 3))
        boxes = Boxes(
            image=np.asarray(images, dtype=np.int64),
            category=np.asarray(categories, dtype=np.int64),
            cuboids=cuboids,
            rectangles=np.asarray([unknown if row is None else row for row in rectangles], dtype=float).reshape(-1, 4),
            scores=np.asarray(scores, dtype=float),
            ignored=np.asarray(ignored, dtype=bool),
        )
        reason = "its corners are not those of a box, in Omni3D's order"
        return boxes.take(whole), [{"key": self.keys[index], "reason": reason} for index in np.flatnonzero(~whole)]


def row_corners(row: dict[str, Any], name: str, turn: str) -> np.ndarray | str:
    """The corners of a box from `name`, or else from centre, dimensions and rotation; or why there are none."""
    corners = row_numbers(row.get(name), (8, 3))
    if corners is not None and not (corners == -1).all():
        return corners
    center, extent = (row_numbers(row.get(field), (3,)) for field in ("center_cam", "dimensions"))
    rotation = row_numbers(row.get(turn), (3, 3))
    if center is None or extent is None or rotation is None:
        return f"{name} is no list of 8 finite corners, and center_cam, dimensions and {turn} are not all known"
    return omni3d_cuboid(center, extent, rotation).corners()[0]


def omni3d_cuboid(center: np.ndarray, dimensions: np.ndarray, rotation: np.ndarray) -> Cuboids:
    """Of Omni3D's width, height and length, which lie along the box's z, y and x axes."""
    return Cuboids(center=center[None], extent=dimensions[None, ::-1], rotation=rotation[None])


def row_id(row: Any, where: str) -> int | str:
    found = identity(row.get("id")) if isinstance(row, dict) else None
    if found is None:
        raise SceneError(f"{where}: has no id, a whole number or a text; Omni3D's form needs it.")
    return found


def row_name(row: Any, where: str) -> str:
    return row_word(row, "name", where)


def row_word(row: Any, name: str, where: str) -> str:
    if not isinstance(row, dict) or not isinstance(row.get(name), str) or not row[name]:
        raise SceneError(f"{where}: has no {name}; Omni3D's form needs it.")
    return row[name]


def _height(row: Any, where: str) -> float:
    found = known_number(row.get("height"))
    if found is None or found <= 0:
        raise SceneError(
            f"{where}: has no height, the picture's in px, but {row.get('height')!r}; Omni3D's form needs it."
        )
    return found


def known_number(value: Any) -> float | None:
    """A finite number; None for null, NaN, a text and whatever else is none."""
    found = row_numbers(value, ())
    return None if found is None or isinstance(value, bool | str) else float(found)


def row_numbers(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        found = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        return None
    return found if found.shape == shape and np.isfinite(found).all() else None


def row_rectangle(row: dict[str, Any]) -> np.ndarray | None:
    """x, y, width, height: of what is visible where known, else of the whole box, else the annotated one."""
    for name in ("bbox2D_trunc", "bbox2D_proj", "bbox2D_tight"):
        sides = row_numbers(row.get(name), (4,))
        if sides is not None and not (sides == -1).all():
            return np.r_[sides[:2], sides[2:] - sides[:2]]
    return None


def _ignore(row: dict[str, Any], rectangle: np.ndarray | None, height: float) -> bool:
    names = ("truncation", "visibility", "lidar_pts", "segmentation_pts", "depth_error")
    truncation, visibility, lidar, segmentation, depth_error = (known_number(row.get(name)) for name in names)
    low, high = (share * height for share in HEIGHTS)
    dimensions = row_numbers(row.get("dimensions"), (3,))
    return bool(
        known_flag(row.get("behind_camera"))
        or known_flag(row.get("valid3D")) is False
        or (dimensions is not None and (dimensions <= 0).any())
        or 0 in (lidar, segmentation)
        or (depth_error is not None and depth_error > 0.5)
        or (rectangle is not None and not low < rectangle[3] < high)
        or (truncation is not None and truncation >= HIDDEN)
        or (visibility is not None and 0 <= visibility <= HIDDEN)
    )
