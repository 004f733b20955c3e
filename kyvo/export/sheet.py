"""Contact sheets: pictures side by side, with scenes drawn over them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

INK = {
    "gray": "#d0d0d0", "red": "#ff5a5a", "blue": "#6f8cff", "green": "#4fd05a",
    "brown": "#d08a50", "purple": "#c070ff", "cyan": "#40f0f0", "yellow": "#ffee40",
}  # fmt: skip


def enlarge(picture: np.ndarray, factor: int) -> Image.Image:
    """uint8 [height, width, 3] -> a picture `factor` times as large."""
    image = Image.fromarray(picture)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


def draw_scene(picture: np.ndarray, scene: Scene, camera: Camera, *, factor: int = 3) -> Image.Image:
    """The picture enlarged, with a box around each object where `camera` sees it, and its words beside it.

    The box is that of the object's bounding sphere. `camera` belongs to the picture before it is enlarged.
    """
    image = enlarge(picture, factor)
    mark(image, scene.objects, camera, factor=factor)
    return image


def mark(
    image: Image.Image,
    objects: Sequence[SceneObject],
    camera: Camera,
    *,
    factor: int = 1,
    ink: str | None = None,
    words: Sequence[str] | None = None,
) -> None:
    """Draws the boxes of `draw_scene` on a picture that is `factor` times as large as the camera's.

    Args:
        ink: one color for all; by default each object's own.
        words: what stands beside each object; by default its material and shape, or its category.
    """
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=11)
    for index, item in enumerate(objects):
        if item.location is None:
            continue
        column, row, depth = camera.project(np.asarray([item.location]))[0]
        if depth <= 0:
            continue  # behind the camera
        reach = camera.focal * _radius(item) / depth
        box = [(value * factor) for value in (column - reach, row - reach, column + reach, row + reach)]
        color = ink or INK.get(item.color or "", "#ffffff")
        draw.rectangle(box, outline=color, width=2)
        text = words[index] if words else " ".join(filter(None, (item.material, item.shape or item.category)))
        draw.text((box[0], box[1] - 13), text, fill=color, font=font, stroke_width=1, stroke_fill="black")


def _radius(item: SceneObject) -> float:
    """Of the bounding sphere, in the scene's units."""
    if item.dimensions is not None:
        return float(np.linalg.norm(item.dimensions)) / 2
    return CLEVR_RADIUS.get(item.size or "", 0.35)


def contact_sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], *, gap: int = 8) -> Image.Image:
    """Rows of pictures of one size under column titles."""
    width, height = rows[0][0].size
    top = 26
    sheet = Image.new("RGB", (gap + (width + gap) * len(titles), top + (height + gap) * len(rows)), "#202020")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((gap + column * (width + gap), 6), title, fill="white", font=ImageFont.load_default(size=13))
    for index, row in enumerate(rows):
        for column, image in enumerate(row):
            sheet.paste(image, (gap + column * (width + gap), top + index * (height + gap)))
    return sheet
