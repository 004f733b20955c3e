"""What a person sees of a file in a blind ranking: a picture drawn anew from its pixels, or four views of a mesh."""

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kyvo.tokenizers.pictures import SUFFIXES, read_picture

if TYPE_CHECKING:
    from kyvo.data.meshes.assets import Asset

PICTURES = SUFFIXES
MESHES = (".glb", ".gltf", ".obj")
VIEW = 256  # px of one of the four views of a mesh


def check_shown(path: Path) -> None:
    """Raises ImageError or AssetError where the file cannot be shown."""
    if path.suffix.lower() in MESHES:
        _upright(path)
    else:
        read_picture(path)


def shown_png(path: Path, truth: Path) -> bytes:
    """A PNG of the file without its name or metadata; a mesh is seen from where the `truth` fills the view."""
    if path.suffix.lower() in MESHES:
        pixels = mesh_views(path, truth if truth.suffix.lower() in MESHES else path)
    else:
        pixels = read_picture(path)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def mesh_views(path: Path, truth: Path) -> np.ndarray:
    """Four views around a mesh as one picture: uint8 [2 * VIEW, 2 * VIEW, 3].

    Each mesh stands on the floor below where the cameras look, so a wrong place does not show; the truth fills the
    view, so a wrong size does. Files are taken as y up, as glTF's are.
    """
    # Open3D loads in seconds, and pictures do without.
    from kyvo.data.meshes.mesh_renderer import Environment, PlacedAsset, render
    from kyvo.scene.scene import Camera

    asset, reference = _upright(path), _upright(truth)
    placed = PlacedAsset(asset=asset, location=(0.0, 0.0, asset.extent[2] / 2))
    target = (0.0, 0.0, reference.extent[2] / 2)
    away = 3.2 * float(np.linalg.norm(reference.extent)) / 2  # of a sphere around the truth, in radii
    views = []
    for turn in np.radians((-60, 30, 120, 210)):
        x, y, z = (away * np.array([0.88 * np.cos(turn), 0.88 * np.sin(turn), 0.47])).tolist()
        camera = Camera.look_at(
            location=(x, y, z + target[2]), target=target, focal=1.5 * VIEW, width=VIEW, height=VIEW
        )
        views.append(render([placed], camera=camera, setting=Environment()))
    return np.concatenate([np.concatenate(views[:2], axis=1), np.concatenate(views[2:], axis=1)])


@lru_cache(maxsize=16)
def _upright(path: Path) -> "Asset":
    from kyvo.data.meshes.assets import load_asset

    return load_asset(path, category="mesh")
