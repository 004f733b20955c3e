"""A picture of a scene with a mask of each object, as scene generators take it.

Masks are one picture an object, light where it is, or one label picture with a color an object on black. A mask that is
no good leaves out its object and is named in `warnings`; the other objects are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8, UInt32
from PIL import Image
from torch import Tensor

from kyvo.data.object_pictures import LARGEST_SIDE, SMALLEST_SHARE, ObjectPicture, cut_out
from kyvo.errors import ImageError
from kyvo.scene.scene import Camera
from kyvo.tokenizers.pictures import read_picture

MAX_OBJECTS = 12
MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LIGHT = 127  # a mask's pixels above it are the object's
MAX_COLORS = 256  # of a label picture; one that was smoothed or saved as JPEG has more


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenePicture:
    """A picture and where its objects show; no pixel belongs to two of them."""

    rgb: UInt8[np.ndarray, "height width 3"]
    masks: Bool[np.ndarray, "objects height width"]
    names: tuple[str, ...]  # of the objects: their masks' files, or the label's colors
    warnings: tuple[str, ...] = ()
    camera: Camera | None = None  # in a frame whose floor is z = 0; of the picture at any size
    others: "tuple[ScenePicture, ...]" = ()  # the same objects, in the same order, from other sides

    def __len__(self) -> int:
        return len(self.names)

    def crop(self, index: int) -> ObjectPicture:
        """A square around one object, the rest transparent. Raises ImageError for an object that covers nothing."""
        return cut_out(np.dstack([self.rgb, np.where(self.masks[index], 255, 0).astype(np.uint8)]))

    def pixels(self, size: int) -> Float[Tensor, "3 size size"]:
        """All of the picture in the middle of a black square, in [0, 1]."""
        shown = _square(self.rgb).resize((size, size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(shown)).permute(2, 0, 1).float() / 255

    def mask_pixels(self, size: int) -> Bool[Tensor, "objects size size"]:
        """The masks in the same square: a pixel belongs to an object that covers half of it."""
        found = []
        for mask in self.masks:
            shown = _square(np.where(mask, 255, 0).astype(np.uint8)).resize((size, size), Image.Resampling.BOX)
            found.append(np.array(shown) > LIGHT)
        return torch.from_numpy(np.stack(found))


def with_views(picture: ScenePicture, others: Sequence[ScenePicture]) -> ScenePicture:
    """The picture with more pictures of its objects, which are known by their names.

    What another picture has beside them is left out with a warning.

    Raises:
        ImageError: one of them lacks an object.
    """
    found, said = [], list(picture.warnings)
    for number, other in enumerate(others, start=2):
        lacking = [name for name in picture.names if name not in other.names]
        if lacking:
            raise ImageError(
                f"view {number} has no mask of {', '.join(lacking)}; the first has {', '.join(picture.names)}. Each "
                "view shows all objects, under the same names."
            )
        if more := [name for name in other.names if name not in picture.names]:
            said.append(f"{', '.join(more)} of view {number} is left out: the first view has no such object")
        order = [other.names.index(name) for name in picture.names]
        found.append(replace(other, masks=other.masks[order], names=picture.names))
        said += [f"view {number}: {words}" for words in other.warnings]
    return replace(picture, others=tuple(found), warnings=tuple(said))


def _square(picture: np.ndarray) -> Image.Image:
    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    pad = [(top, side - height - top), (left, side - width - left), *([(0, 0)] * (picture.ndim - 2))]
    return Image.fromarray(np.pad(picture, pad))


def read_scene_picture(path: Path | str, masks: Path | str) -> ScenePicture:
    """A picture file, and a folder of masks (in the order of their names) or a label picture.

    Raises:
        ImageError: the picture cannot be read or shows one color alone, or no mask is left.
    """
    path, masks = Path(path), Path(masks)
    rgb = read_picture(path)
    warnings: list[str] = []
    try:
        named = _of_folder(masks, warnings) if masks.is_dir() else label_masks(*read_labels(read_picture(masks)))
        return as_scene_picture(rgb, [mask for _, mask in named], [name for name, _ in named], warnings=warnings)
    except ImageError as error:
        raise ImageError(f"{path} with the masks of {masks}: {error}") from error


def as_scene_picture(
    rgb: UInt8[np.ndarray, "height width 3"],
    masks: Sequence[Bool[np.ndarray, "_ _"]],
    names: Sequence[str],
    *,
    warnings: Sequence[str] = (),
) -> ScenePicture:
    """A picture and masks in memory, checked and scaled down to LARGEST_SIDE.

    Args:
        warnings: what is known already.

    Raises:
        ImageError: as `read_scene_picture`.
    """
    said = list(warnings)
    check_shows(rgb)
    kept: list[tuple[str, np.ndarray]] = []
    for name, mask in zip(names, masks, strict=True):
        if mask.shape != rgb.shape[:2]:
            said.append(
                f"{name} is left out: its mask has {mask.shape[1]}x{mask.shape[0]} px and the picture "
                f"{rgb.shape[1]}x{rgb.shape[0]}"
            )
        elif mask.mean() < SMALLEST_SHARE:
            said.append(f"{name} is left out: its mask covers {mask.sum()} px, which is nothing to see an object in")
        else:
            kept.append((name, mask))
    if len(kept) > MAX_OBJECTS:
        kept.sort(key=lambda item: -int(item[1].sum()))
        lost = [name for name, _ in kept[MAX_OBJECTS:]]
        said.append(
            f"{', '.join(lost)} left out: a scene has at most {MAX_OBJECTS} objects, and these are the smallest"
        )
        kept = kept[:MAX_OBJECTS]
    kept = _without_overlaps(kept, said)
    if not kept:
        reasons = f" ({'; '.join(said)})" if said else ""
        raise ImageError(f"no object is left{reasons}. Give a mask of the picture's size for each object.")
    stacked = np.stack([mask for _, mask in kept])
    rgb, stacked = _scaled_down(rgb, stacked)
    return ScenePicture(rgb=rgb, masks=stacked, names=tuple(name for name, _ in kept), warnings=tuple(said))


def _of_folder(folder: Path, warnings: list[str]) -> list[tuple[str, np.ndarray]]:
    named = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in MASK_SUFFIXES:
            continue
        try:
            named.append((path.stem, light_mask(read_picture(path))))
        except ImageError as error:
            warnings.append(f"{path.stem} is left out: {error}")
    if not named and not warnings:
        raise ImageError("the folder has no masks; give a picture an object, light where it is.")
    return named


def light_mask(picture: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "height width"]:
    """Where a mask's picture is light."""
    return picture.mean(2) > LIGHT


def read_labels(picture: UInt8[np.ndarray, "height width 3"]) -> tuple[UInt32[np.ndarray, "height width"], list[int]]:
    """The color of each pixel of a label picture as 0xRRGGBB, and the colors beside black.

    Raises ImageError where there are too many.
    """
    labels = picture.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    values = np.unique(labels).tolist()
    if len(values) > MAX_COLORS:
        raise ImageError(
            f"it has {len(values):,} colors; a label picture has one an object on black. Save it as PNG, not "
            "smoothed, or give a folder of masks."
        )
    return labels, [value for value in values if value]


def without_masks(rgb: UInt8[np.ndarray, "height width 3"]) -> ScenePicture:
    """A picture alone, scaled down to LARGEST_SIDE, for the method that needs no masks.

    Raises ImageError where it shows one color alone.
    """
    check_shows(rgb)
    rgb, masks = _scaled_down(rgb, np.zeros((0, *rgb.shape[:2]), dtype=bool))
    return ScenePicture(rgb=rgb, masks=masks, names=())


def check_shows(rgb: UInt8[np.ndarray, "height width 3"]) -> None:
    """Raises ImageError for a picture of one color."""
    if (rgb == rgb[0, 0]).all():
        raise ImageError("the picture shows nothing: all its pixels have one color.")


def label_masks(labels: UInt32[np.ndarray, "height width"], values: Sequence[int]) -> list[tuple[str, np.ndarray]]:
    """Name and mask of each color."""
    return [(f"#{value:06x}", labels == value) for value in values]


def _without_overlaps(named: Sequence[tuple[str, np.ndarray]], warnings: list[str]) -> list[tuple[str, np.ndarray]]:
    """What several masks claim goes to the smallest of them, which more often stands in front."""
    taken: Any = None
    shared = 0
    found: dict[str, np.ndarray] = {}
    for name, mask in sorted(named, key=lambda item: int(item[1].sum())):
        taken = np.zeros_like(mask) if taken is None else taken
        shared += int((mask & taken).sum())
        rest = mask & ~taken
        taken = taken | mask
        if rest.mean() < SMALLEST_SHARE:
            warnings.append(f"{name} is left out: other masks cover all of it")
        else:
            found[name] = rest
    if shared:
        warnings.append(f"{shared} px belonged to several masks; each went to the smallest of them")
    return [(name, found[name]) for name, _ in named if name in found]


def _scaled_down(rgb: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = rgb.shape[:2]
    factor = LARGEST_SIDE / max(height, width)
    if factor >= 1:
        return rgb, masks
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.array(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))
    few = [np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) for mask in masks]
    return small, np.stack(few) if few else np.zeros((0, size[1], size[0]), dtype=bool)
