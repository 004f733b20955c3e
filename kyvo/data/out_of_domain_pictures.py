"""Pictures that show no scene of CLEVR's kind: noise, areas of colour, drawings, plots, texts, screens, patterns.

Each function draws one from chance alone. Kinds are in two tables, so that a score that was fitted on some of them is
measured on others.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 240, 160  # px
WHITE, BLACK, DARK = (255, 255, 255), (0, 0, 0), (25, 25, 32)
WORDS = ("a", "the", "scene", "model", "picture", "returns", "import", "value", "error", "file", "house", "open")

Picture = UInt8[np.ndarray, "_ _ 3"]
Color = tuple[int, int, int]


def noise(rng: np.random.Generator) -> Picture:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def gray_noise(rng: np.random.Generator) -> Picture:
    values = rng.normal(128, rng.uniform(5, 60), (HEIGHT, WIDTH, 1))
    return np.repeat(values.clip(0, 255).astype(np.uint8), 3, axis=2)


def clouds(rng: np.random.Generator) -> Picture:
    """Coarse noise, smoothly enlarged."""
    rows, columns = rng.integers(3, 12, 2)
    values = rng.integers(0, 256, (rows, columns, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(values).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


def blank(rng: np.random.Generator) -> Picture:
    return np.full((HEIGHT, WIDTH, 3), _color(rng), np.uint8)


def gray_blank(rng: np.random.Generator) -> Picture:
    return np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256), np.uint8)


def gradient(rng: np.random.Generator) -> Picture:
    first, last = np.array(_color(rng)), np.array(_color(rng))
    share = np.linspace(0, 1, HEIGHT)[:, None, None] if rng.random() < 0.5 else np.linspace(0, 1, WIDTH)[:, None]
    return np.broadcast_to(first + (last - first) * share, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def drawn_shapes(rng: np.random.Generator) -> Picture:
    return _shapes(rng, WHITE, filled=True)


def drawn_shapes_on_gray(rng: np.random.Generator) -> Picture:
    level = int(rng.integers(90, 150))
    return _shapes(rng, (level, level, level), filled=True)


def outlines(rng: np.random.Generator) -> Picture:
    return _shapes(rng, WHITE, filled=False)


def line_plot(rng: np.random.Generator) -> Picture:
    return _line_plot(rng, WHITE, BLACK)


def dark_line_plot(rng: np.random.Generator) -> Picture:
    return _line_plot(rng, DARK, (200, 200, 200))


def bar_chart(rng: np.random.Generator) -> Picture:
    image, draw = _canvas(WHITE)
    count = int(rng.integers(3, 12))
    width = (WIDTH - 60) // count
    for number in range(count):
        left, high = 28 + number * (width + 2), int(rng.integers(10, HEIGHT - 30))
        draw.rectangle((left, HEIGHT - 20 - high, left + width, HEIGHT - 20), fill=_color(rng))
    draw.line((25, 10, 25, HEIGHT - 20, WIDTH - 10, HEIGHT - 20), fill=BLACK)
    return np.asarray(image)


def scatter_plot(rng: np.random.Generator) -> Picture:
    image, draw = _canvas(WHITE)
    draw.rectangle((25, 10, WIDTH - 10, HEIGHT - 20), outline=BLACK)
    for _ in range(3):
        color, middle = _color(rng), rng.normal((WIDTH / 2, HEIGHT / 2), (40, 25))
        for x, y in rng.normal(middle, 15, (30, 2)):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    return np.asarray(image)


def text(rng: np.random.Generator) -> Picture:
    return _text(rng, WHITE, BLACK)


def terminal(rng: np.random.Generator) -> Picture:
    return _text(rng, DARK, (220, 220, 220))


def screen(rng: np.random.Generator) -> Picture:
    """A window with a bar, a list and some cards."""
    image, draw = _canvas((245, 245, 247))
    draw.rectangle((0, 0, WIDTH, 14), fill=_color(rng))
    draw.rectangle((0, 14, 50, HEIGHT), fill=(230, 230, 235))
    for top in range(20, HEIGHT - 10, 14):
        draw.text((4, top), str(rng.choice(WORDS)), fill=(60, 60, 60))
    for _ in range(4):
        x, y = int(rng.integers(55, WIDTH - 60)), int(rng.integers(20, HEIGHT - 40))
        draw.rectangle((x, y, x + 50, y + 30), fill=WHITE, outline=(200, 200, 200))
        draw.text((x + 3, y + 8), str(rng.choice(WORDS)), fill=BLACK)
    return np.asarray(image)


def stripes(rng: np.random.Generator) -> Picture:
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(0.05, 0.8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    first = np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle))) > 0
    return np.where(first[..., None], _color(rng), _color(rng)).astype(np.uint8)


def checkers(rng: np.random.Generator) -> Picture:
    side = int(rng.integers(4, 40))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    first = (x // side + y // side) % 2 == 0
    return np.where(first[..., None], _color(rng), _color(rng)).astype(np.uint8)


def drawn_house(rng: np.random.Generator) -> Picture:
    """A house on a meadow, under a sun."""
    image, draw = _canvas((135, 206, 235))
    ground, left = int(rng.integers(80, 120)), int(rng.integers(20, 150))
    draw.rectangle((0, ground, WIDTH, HEIGHT), fill=(60, int(rng.integers(120, 200)), 60))
    draw.ellipse((WIDTH - 50, 10, WIDTH - 20, 40), fill=(255, 220, 0))
    draw.rectangle((left, ground - 40, left + 50, ground + 10), fill=_color(rng))
    draw.polygon([(left - 5, ground - 40), (left + 25, ground - 70), (left + 55, ground - 40)], fill=_color(rng))
    return np.asarray(image)


Draw = Callable[[np.random.Generator], Picture]

FIT_KINDS: Mapping[str, Draw] = {
    "noise": noise, "blank": blank, "grey blank": gray_blank, "gradient": gradient, "drawn shapes": drawn_shapes,
    "drawn shapes on grey": drawn_shapes_on_gray, "line plot": line_plot, "text": text,
}  # fmt: skip
TEST_KINDS: Mapping[str, Draw] = {
    "grey noise": gray_noise, "clouds": clouds, "outlines": outlines, "dark line plot": dark_line_plot,
    "bar chart": bar_chart, "scatter plot": scatter_plot, "terminal": terminal, "screen": screen, "stripes": stripes,
    "checkers": checkers, "drawn house": drawn_house,
}  # fmt: skip


def _color(rng: np.random.Generator) -> Color:
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _canvas(background: Color) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH, HEIGHT), background)
    return image, ImageDraw.Draw(image)


def _shapes(rng: np.random.Generator, background: Color, *, filled: bool) -> Picture:
    image, draw = _canvas(background)
    for _ in range(rng.integers(1, 8)):
        x, y, reach = (int(rng.integers(*ends)) for ends in ((10, WIDTH - 10), (10, HEIGHT - 10), (4, 25)))
        color = _color(rng)
        box = (x - reach, y - reach, x + reach, y + reach)
        (draw.ellipse, draw.rectangle)[rng.integers(2)](box, fill=color if filled else None, outline=color, width=2)
    return np.asarray(image)


def _line_plot(rng: np.random.Generator, background: Color, ink: Color) -> Picture:
    image, draw = _canvas(background)
    draw.rectangle((25, 10, WIDTH - 10, HEIGHT - 20), outline=ink)
    for _ in range(rng.integers(1, 5)):
        heights = np.cumsum(rng.normal(size=40))
        heights = (heights - heights.min()) / (np.ptp(heights) + 1e-9) * (HEIGHT - 40) + 15
        places = np.linspace(25, WIDTH - 10, len(heights))
        draw.line(list(zip(places.tolist(), heights.tolist(), strict=True)), fill=_color(rng), width=2)
    for number in range(6):
        draw.text((2, 10 + number * 22), str(number), fill=ink)
    return np.asarray(image)


def _text(rng: np.random.Generator, background: Color, ink: Color) -> Picture:
    image, draw = _canvas(background)
    for top in range(5, HEIGHT - 10, 12):
        line = " ".join(rng.choice(WORDS, int(rng.integers(1, 8))))
        draw.text((5 + 10 * int(rng.integers(0, 4)), top), line, fill=ink)
    return np.asarray(image)
