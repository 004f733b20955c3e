"""Pictures of shapes for people: each from four sides, on one sheet."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from kyvo.data.meshes.assets import Asset
from kyvo.export.sheet import contact_sheet
from kyvo.models.slat.gaussians import Camera
from kyvo.shapes.views import FIELD_OF_VIEW, MeshViews

TURNS = (-60.0, 30.0, 120.0, 210.0)  # degrees about the up axis, from +x; -90 looks at the front, as CLEVR's camera
ELEVATION = 22.0  # degrees
DISTANCE = 2.5  # of the camera from the centre: the cube fits the picture from every side
SIZE = 256  # px of a picture
SAMPLES = 2  # rays along a pixel's side
WHITE = 1.0


def side_camera(turn: float, *, elevation: float = ELEVATION, distance: float = DISTANCE, size: int = SIZE) -> Camera:
    """A camera around the cube, `turn` degrees about the up axis and `elevation` degrees above the middle."""
    across, height = math.cos(math.radians(elevation)), math.sin(math.radians(elevation))
    angle = math.radians(turn)
    place = distance * torch.tensor([across * math.cos(angle), across * math.sin(angle), height])
    return Camera.look_at_origin(place, field_of_view=FIELD_OF_VIEW, size=size)


def on_white(rgba: Float[np.ndarray, "height width 4"]) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of `MeshViews` before a white background."""
    return np.round(255 * (WHITE + rgba[..., 3:] * (rgba[..., :3] - WHITE))).astype(np.uint8)


def side_views(mesh: Asset, *, turns: Sequence[float] = TURNS, size: int = SIZE) -> list[Image.Image]:
    """The mesh in the cube, lit, from these sides."""
    views = MeshViews(mesh)
    cameras = [side_camera(turn, size=size) for turn in turns]
    return [Image.fromarray(on_white(views.picture(camera, samples=SAMPLES))) for camera in cameras]


def shape_sheet(rows: Sequence[tuple[str, Asset]], *, size: int = SIZE) -> Image.Image:
    """A row of four views for each mesh, under its words."""
    pictures = []
    for words, mesh in rows:
        views = side_views(mesh, size=size)
        label(views[0], words)
        pictures.append(views)
    return contact_sheet(pictures, [f"from {turn % 360:.0f}\N{DEGREE SIGN}" for turn in TURNS])


def turntable_sheet(rows: Sequence[tuple[str, Asset]], *, views: int = 8, size: int = SIZE // 2) -> Image.Image:
    """A row of each mesh, once around it in `views` steps, under its words."""
    turns = [TURNS[0] + 360 / views * step for step in range(views)]
    pictures = []
    for words, mesh in rows:
        pictures.append(side_views(mesh, turns=turns, size=size))
        label(pictures[-1][0], words)
    return contact_sheet(pictures, [f"from {turn % 360:.0f}\N{DEGREE SIGN}" for turn in turns])


def label(picture: Image.Image, words: str) -> None:
    """Writes words into a picture's upper left corner."""
    font = ImageFont.load_default(size=max(10, picture.width // 20))
    ImageDraw.Draw(picture).text((6, 4), words, fill="#303030", font=font)
