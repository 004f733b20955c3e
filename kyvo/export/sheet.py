"""Contact sheets: pictures side by side, with scenes drawn over them and words under them."""

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS

INK = {
    "gray": "#d0d0d0", "red": "#ff5a5a", "blue": "#6f8cff", "green": "#4fd05a",
    "brown": "#d08a50", "purple": "#c070ff", "cyan": "#40f0f0", "yellow": "#ffee40",
}  # fmt: skip
TITLE = 26  # px, over the first row
LETTER, ADVANCE, LINE = 13, 7, 18  # px, of titles and captions: size, most that a letter is wide on average, line


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


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    titles: Sequence[str],
    *,
    captions: Sequence[Sequence[str]] = (),
    gap: int = 8,
) -> Image.Image:
    """Rows of pictures of one size under column titles; `captions`, a row for each, stand under the pictures."""
    width, height = rows[0][0].size
    texts = [[textwrap.fill(text, width // ADVANCE) for text in row] for row in captions]
    num_lines = max((text.count("\n") + 1 for row in texts for text in row if text), default=0)
    across, down = width + gap, height + gap + num_lines * LINE
    sheet = Image.new("RGB", (gap + across * len(titles), TITLE + down * len(rows)), "#202020")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=LETTER)
    for column, title in enumerate(titles):
        draw.text((gap + column * across, 6), title, fill="white", font=font)
    for index, row in enumerate(rows):
        for column, image in enumerate(row):
            sheet.paste(image, (gap + column * across, TITLE + index * down))
    for index, row in enumerate(texts):
        for column, text in enumerate(row):
            draw.multiline_text(
                (gap + column * across, TITLE + index * down + height + 2), text, fill="white", font=font
            )
    return sheet
