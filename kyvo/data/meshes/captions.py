"""Captions of drawn objects, made of their own parameters: the category, and each part's name, color and material.

Several wordings say the same with more or less detail. Colors are named by the nearest of a small palette.
"""

from collections.abc import Sequence

import numpy as np

from kyvo.data.meshes.primitives import COUNTS, GLASS, IRON, LEAVES, STEEL, WOOD, Color, Part

COLORS: dict[str, tuple[Color, ...]] = {  # sRGB
    "red": ((200, 40, 36), (176, 58, 46)),
    "orange": ((230, 130, 40),),
    "yellow": ((236, 200, 50), (255, 240, 130)),
    "green": ((50, 140, 70), (88, 150, 54), (44, 110, 66)),
    "blue": ((30, 90, 180), (44, 94, 146), (90, 150, 210)),
    "purple": ((120, 70, 150),),
    "pink": ((230, 130, 170),),
    "brown": ((139, 94, 60), (94, 62, 45)),
    "beige": ((226, 205, 170), (190, 150, 104)),
    "white": ((240, 240, 236),),
    "grey": ((140, 142, 146), (92, 98, 108)),
    "black": ((30, 30, 32), (52, 56, 60)),
}
MATERIALS = {
    **dict.fromkeys(WOOD, "wooden"),
    **dict.fromkeys(GLASS, "glass"),
    **dict.fromkeys((IRON, STEEL), "metal"),
    **dict.fromkeys(LEAVES, "leafy"),
}
MOST_PARTS = 3  # named in one caption


def color_name(color: Sequence[float]) -> str:
    """The nearest color of the palette, by the weighted distance of https://www.compuphase.com/cmetric.htm."""

    def distance(other: Color) -> float:
        mean = (color[0] + other[0]) / 2
        red, green, blue = ((one - two) ** 2 for one, two in zip(color, other, strict=True))
        return (2 + mean / 256) * red + 4 * green + (2 + (255 - mean) / 256) * blue

    return min(COLORS, key=lambda name: min(map(distance, COLORS[name])))


def captions(category: str, parts: Sequence[Part], rng: np.random.Generator, *, count: int = 4) -> list[str]:
    """`count` captions that differ, or all there are; the first is the shortest, and says the main color.

    Args:
        parts: with the colors that the object has. A material is said where its color is a material's own.
    """
    areas = [_area(part.triangles) for part in parts]
    order = sorted(range(len(parts)), key=lambda index: -areas[index])
    main = parts[order[0]]
    color, material = color_name(main.color), MATERIALS.get(main.color)
    first = _articles(f"a {color} {category}")
    others = [f"{color} {category}", f"a {category} that is {color}", f"a {category}, mostly {color}"]
    if material:
        others += [f"{_article(material)} {material} {category}", f"a {category} made of {_noun(material)}"]
        others += [f"a {color} {material} {category}"]
    for size in range(1, min(MOST_PARTS, len(parts)) + 1):
        chosen = sorted(rng.choice(len(parts), size=size, replace=False).tolist())
        said = _listed([_colored(parts[index]) for index in chosen])
        plain = _listed([parts[index].name for index in chosen])
        others.append(f"a {material or color} {category} with {plain}")
        others += [f"a {category} with {said}", f"a {color} {category} with {said}", f"{category}: {said}"]
    drawn = [others[index] for index in rng.permutation(len(others))]
    return list(dict.fromkeys([first, *(_articles(text) for text in drawn)]))[:count]


def _area(triangles: np.ndarray) -> float:
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return float(np.linalg.norm(cross, axis=1).sum())


def _colored(part: Part) -> str:
    """ "round top" -> "brown round top", "four legs" -> "four brown legs"."""
    count, _, rest = part.name.partition(" ")
    color = color_name(part.color)
    return f"{count} {color} {rest}" if count in COUNTS.values() else f"{color} {part.name}"


def _noun(material: str) -> str:
    return {"wooden": "wood", "leafy": "leaves"}.get(material, material)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _articles(text: str) -> str:
    """ "a orange car" -> "an orange car", at its beginning."""
    start, _, rest = text.partition(" ")
    return f"{_article(rest)} {rest}" if start in ("a", "an") else text


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
