"""Exposure: pictures of another brightness are brought to the model's; all others stay as they are."""

import json

import numpy as np
import pytest

from kyvo.data.corruptions import lit
from kyvo.errors import CheckpointError
from kyvo.generation.exposure import FILE, Exposure, background

CHANCE = np.random.default_rng(0)
PICTURE = CHANCE.integers(90, 120, (80, 120, 3), dtype=np.uint8)
EXPOSURE = Exposure(background=background(PICTURE))


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.4])
def test_darker_and_brighter_pictures_come_back(factor):
    found, note = EXPOSURE.apply(lit(PICTURE, factor))
    assert np.abs(found.astype(int) - PICTURE).max() <= 2
    assert note is not None and f"{factor:.2f} times as bright" in note


@pytest.mark.parametrize("factor", [0.96, 1.0, 1.04, 0.2])
def test_usual_pictures_and_those_far_off_stay(factor):
    picture = lit(PICTURE, factor)
    found, note = EXPOSURE.apply(picture)
    assert found is picture and note is None


def test_a_black_picture_stays():
    black = np.zeros((8, 12, 3), np.uint8)
    assert EXPOSURE.apply(black) == (black, None)


def test_it_is_fitted_saved_and_loaded(tmp_path):
    fitted = Exposure.fit([np.full((8, 12, 3), value, np.uint8) for value in (100, 104, 140)])
    assert fitted.background == 104
    fitted.save(tmp_path, {"fitted_on": "three pictures"})
    assert Exposure.from_pretrained(tmp_path) == fitted
    assert json.loads((tmp_path / FILE).read_text())["fitted_on"] == "three pictures"
    assert Exposure.from_pretrained(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"background": 100}', "no exposure"),
        ('{"background": "x", "tolerance": 0}', "no exposure"),
        ('{"background": 0, "tolerance": 0.1}', "background must be above 0"),
        ('{"background": 100, "tolerance": -1}', "tolerance 0 or more"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, fault):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CheckpointError, match=fault):
        Exposure.from_pretrained(tmp_path)
