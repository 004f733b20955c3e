"""Words of colors as light: CLEVR's eight, and the names that CSS knows."""

from PIL import ImageColor

from kyvo.scene.schema import CLEVR_COLORS

Rgb = tuple[float, float, float]


def linear_rgb(word: str) -> Rgb | None:
    """Linear RGB in [0, 1] of a color's word; None for a word that neither CLEVR nor CSS has."""
    if word in CLEVR_COLORS:
        red, green, blue = CLEVR_COLORS[word]
        return red / 255, green / 255, blue / 255
    try:
        red, green, blue = ImageColor.getrgb(word)[:3]
    except ValueError:
        return None
    return _linear(red / 255), _linear(green / 255), _linear(blue / 255)


def _linear(coded: float) -> float:
    """sRGB's transfer function, inverted (IEC 61966-2-1)."""
    return coded / 12.92 if coded <= 0.04045 else ((coded + 0.055) / 1.055) ** 2.4
