"""Captions say what a drawn object is, and nothing else."""

import re

import numpy as np
import pytest

from kyvo.data.meshes.captions import COLORS, MOST_PARTS, captions, color_name
from kyvo.data.meshes.procedural import BUILDERS
from kyvo.data.meshes.solids import WOOD


@pytest.mark.parametrize("category", BUILDERS)
def test_captions_name_the_category_and_the_parts_as_they_are_colored(category):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        parts = BUILDERS[category](rng)
        said = captions(category, parts, rng, count=6)
        assert len(set(said)) == len(said) == 6
        assert said[0].startswith(("a ", "an ")) and said[0].endswith(category)
        for text in said:
            assert category in text
            named = [part for part in parts if re.search(rf" {part.name}\b", text)]
            for part in named:
                if "with" in text or ":" in text:
                    assert f"{color_name(part.color)} {part.name}" in text
            assert text.count(" and ") <= MOST_PARTS + 1


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
