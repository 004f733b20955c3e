"""Captions say what a drawn object is, and nothing else."""

import re

import numpy as np
import pytest

from kyvo.data.meshes.captions import COLORS, MOST_PARTS, captions, color_name
from kyvo.data.meshes.categories import CATEGORIES
from kyvo.data.meshes.primitives import COUNTS, WOOD, Part
from kyvo.data.meshes.procedural import BUILDERS


def colors_before(text, part):
    """The colors that a text has beside a part: "brown round top", "four brown legs"."""
    count, _, rest = part.name.partition(" ")
    colors = "|".join(COLORS)
    pattern = rf"{count} ({colors}) {rest}\b" if count in COUNTS.values() else rf"({colors}) {part.name}\b"
    return re.findall(pattern, text)


@pytest.mark.parametrize("category", CATEGORIES)
def test_captions_name_the_category_and_the_parts_as_they_are_colored(category):
    rng = np.random.default_rng(0)
    parts = CATEGORIES[category](rng)
    said = captions(category, parts, rng, count=6)
    assert len(set(said)) == len(said) == 6
    assert said[0].startswith(("a ", "an ")) and said[0].endswith(category)
    for text in said:
        assert category in text
        for part in parts:
            own = {color_name(other.color) for other in parts if other.name == part.name}
            assert set(colors_before(text, part)) <= own
        assert text.count(" and ") <= MOST_PARTS + 1


def test_a_count_stands_before_the_color():
    rng = np.random.default_rng(0)
    square = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    parts = [Part(2 * square, (200, 40, 36), "round top"), Part(square, (139, 94, 60), "three legs")]
    said = captions("table", parts, rng, count=99)
    assert "a table with red round top and three brown legs" in said
    assert "a red table with round top and three legs" in said


def test_the_first_caption_says_the_color_of_the_largest_part():
    rng = np.random.default_rng(0)
    parts = [part._replace(color=(200, 40, 36)) for part in BUILDERS["car"](rng)]
    assert captions("car", parts, rng)[0] == "a red car"
    orange = [part._replace(color=(230, 130, 40)) for part in parts]
    assert captions("car", orange, rng)[0] == "an orange car"


def test_a_material_is_said_where_the_color_is_its_own():
    rng = np.random.default_rng(0)
    parts = BUILDERS["bench"](rng)
    assert parts[0].color in WOOD
    assert any("wood" in text for text in captions("bench", parts, rng, count=99))
    painted = [part._replace(color=(30, 90, 180)) for part in parts]
    assert not any("wood" in text for text in captions("bench", painted, rng, count=99))


def test_the_palette_names_its_own_colors():
    for name, colors in COLORS.items():
        assert {color_name(color) for color in colors} == {name}
