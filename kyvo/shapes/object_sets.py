"""Sets of single objects to train flows on: surface features, pictures from around, and captions, as Arrow files.

A row is a mesh of a folder, or one that is drawn from the procedural library with captions of its own parameters. A
folder's captions come from its `manifest.jsonl`: lines of {"file": ..., "caption": ..., "category": ...}.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image as Picture

from kyvo.data.dataset import SetSettings, SkippedItem
from kyvo.data.meshes.assets import Asset
from kyvo.data.meshes.captions import COLORS, captions
from kyvo.data.meshes.categories import CATEGORIES
from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.object_pictures import cut_out
from kyvo.errors import ConfigError, ImageError, SceneError
from kyvo.extras import extra
from kyvo.models.slat.latent import LatentError
from kyvo.scene.files import parse_json, read_lines
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.mesh import load_shape
from kyvo.shapes.sets import mesh_paths
from kyvo.shapes.training_meshes import assembled
from kyvo.shapes.views import MeshViews, sphere_cameras

with extra("data"):
    from datasets import Dataset, Features, Image, List, Value

PROCEDURAL = "procedural"
MANIFEST = "manifest.jsonl"
KEPT_COLORS = 0.4  # share of drawn objects with the colors of their kind
STRETCH = (0.85, 1.18)  # of each axis of a drawn object
NUM_CAPTIONS = 4
VIEWS_AROUND = 24  # cameras of which an object's pictures are drawn


@dataclass(frozen=True, kw_only=True)
class ObjectSet(SetSettings):
    """Objects with surface features on a grid, pictures and captions."""

    seed: int
    source: str = PROCEDURAL  # or a folder of meshes
    files: tuple[str, ...] = field(default=())  # of that folder
    resolution: int = 32  # cells along a side of the grid
    pictures: int = 4  # of each object
    size: int = 128  # px of a picture's side

    kind: ClassVar[str] = "objects"
    what: ClassVar[str] = "Single objects with their surface features, pictures and captions"
    columns: ClassVar[dict[str, str]] = {
        "name": "name of the object",
        "category": "its kind",
        "captions": "what it is, in several wordings",
        "coords": "uint8 [cells, 3]: active cells",
        "feats": "float16 [cells, 12]: features of `kyvo.shapes.contour`",
        "num_cells": "number of active cells",
        "pictures": "RGBA PNGs, square around the object",
    }
    features: ClassVar[Features] = Features(
        {
            "name": Value("string"),
            "category": Value("string"),
            "captions": List(Value("string")),
            "coords": Value("binary"),
            "feats": Value("binary"),
            "num_cells": Value("int32"),
            "pictures": List(Image()),
        }
    )

    @classmethod
    def of(cls, source: Path, *, limit: int | None = None, **settings: Any) -> "ObjectSet":
        """Of a folder's meshes, all of them or the first ones. Raises ConfigError for a folder without a mesh."""
        files = tuple(str(path.relative_to(source)) for path in mesh_paths(source))[:limit]
        if not files:
            raise ConfigError(f"{source} has no mesh file; give a folder of GLB, glTF, OBJ or PLY files.")
        return cls(count=len(files), source=str(source), files=files, **settings)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        for index in indices:
            try:
                yield self.row(index)
            except (AssetError, LatentError, ImageError) as error:
                if self.source == PROCEDURAL:
                    raise
                yield SkippedItem(name=self.files[index], reason=str(error))

    def figures(self, rows: Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """How many objects have no caption."""
        return {"without_captions": sum(not captions for captions in rows["captions"])}

    def row(self, index: int) -> dict[str, Any]:
        """Raises AssetError for a mesh that cannot be read."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        mesh, said = draw_object(rng, index=index) if self.source == PROCEDURAL else self._read(index)
        latent = surface_latent(mesh, resolution=self.resolution)
        return {
            "name": mesh.name,
            "category": mesh.category,
            "captions": said,
            "coords": latent.coords.numpy().astype(np.uint8).tobytes(),
            "feats": latent.feats.numpy().astype(np.float16).tobytes(),
            "num_cells": len(latent.coords),
            "pictures": [_png(picture) for picture in object_views(mesh, rng, count=self.pictures, size=self.size)],
        }

    def _read(self, index: int) -> tuple[Asset, list[str]]:
        file = self.files[index]
        mesh = load_shape(Path(self.source) / file)
        said = read_manifest(Path(self.source)).get(file, {})
        mesh = replace(mesh, category=said.get("category") or mesh.category)
        return mesh, [said["caption"]] if said.get("caption") else []

    def about(self) -> str:
        source = "the procedural library" if self.source == PROCEDURAL else f"meshes of {Path(self.source).name}"
        return (
            f"Objects of {source} on a grid of {self.resolution}, each with {self.pictures} pictures of\n"
            f"{self.size} px from around. Each row is set by the seed, {self.seed}, and its number alone."
        )


def draw_object(rng: np.random.Generator, *, index: int) -> tuple[Asset, list[str]]:
    """A thing of the procedural library, in the cube, and its captions."""
    category = list(CATEGORIES)[int(rng.integers(len(CATEGORIES)))]
    parts = CATEGORIES[category](rng)
    if rng.random() > KEPT_COLORS:
        palette = [color for colors in COLORS.values() for color in colors]
        parts = [part._replace(color=_shaded(palette[int(rng.integers(len(palette)))], rng)) for part in parts]
    mesh = assembled(
        [(part.triangles, np.array(part.color) / 255) for part in parts],
        name=f"{category}-{index:06}",
        category=category,
        transform=np.diag(rng.uniform(*STRETCH, size=3)),
    )
    return mesh, captions(category, parts, rng, count=NUM_CAPTIONS)


def _shaded(color: tuple[int, int, int], rng: np.random.Generator) -> tuple[int, int, int]:
    """Somewhat lighter or darker."""
    red, green, blue = np.clip(np.array(color) * rng.uniform(0.85, 1.1), 0, 255).astype(int).tolist()
    return red, green, blue


def object_views(mesh: Asset, rng: np.random.Generator, *, count: int, size: int) -> list[np.ndarray]:
    """RGBA pictures from cameras around the object, drawn without repetition; the object fills them as a condition."""
    views = MeshViews(mesh)
    cameras = sphere_cameras(max(VIEWS_AROUND, count), size=size, offset=tuple(rng.random(2).tolist()))
    chosen = rng.choice(len(cameras), size=count, replace=False)
    found = []
    for camera in (cameras[index] for index in chosen):
        rgba = np.round(255 * views.picture(camera)).astype(np.uint8)
        square = Picture.fromarray(cut_out(rgba).rgba).resize((size, size), Picture.Resampling.LANCZOS)
        found.append(np.array(square))
    return found


@cache
def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """File -> its line of the folder's manifest; nothing where there is no manifest.

    Raises:
        ConfigError: a line is no JSON object with a "file".
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    lines = {}
    for number, text in enumerate(read_lines(path), start=1):
        if not text.strip():
            continue
        try:
            line = parse_json(text, f"line {number}")
            lines[line["file"]] = line
        except (SceneError, KeyError, TypeError) as error:
            raise ConfigError(f'{path}, line {number}: no JSON object with a "file" ({error}).') from error
    return lines


def _png(rgba: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Picture.fromarray(rgba).save(file, format="PNG")
    return {"bytes": file.getvalue(), "path": None}
