"""The released scripts' measures on constructed rows, with their faults."""

import pytest

from kyvo.errors import SceneError
from kyvo.metrics.release import (
    answer_accuracy,
    clevr_index,
    objaworld_index,
    objectron_index,
)


def cube(x, y=0.0, z=0.7, **other):
    return {"size": "large", "color": "red", "material": "metal", "shape": "cube", "3d_coords": [x, y, z], **other}


def bench(x, turn, *, y=0.0, z=0.2):
    return {"shape": "bench", "3d_coords": [x, y, z, turn]}


def true_bench(x, turn, *, y=0.0, z=0.2, shape="bench-3"):
    return {"shape": shape, "3d_coords": [x, y, z], "rotation": turn}


def shoe(x, *, category="shoe", size=0.3):
    return {"category": category, "center_cam": [x, 0.0, 1.0], "dimensions": [size, size, size]}


def test_an_empty_scene_predicted_as_empty_scores_minus_1():
    assert clevr_index([], [], tau=0.25) == -1


@pytest.mark.parametrize(
    ("predicted", "truth", "score"),
    [
        ([cube(0)], [cube(0.24)], 1.0),
        ([cube(0)], [cube(0.25)], 0.0),  # tau itself is too far
        ([cube(0, z=9.0)], [cube(0)], 1.0),  # heights are not compared
        ([cube(0, color="blue")], [cube(0)], 0.0),
        ([cube(0), cube(0)], [cube(0)], 1 / 2),
        ([{"shape": "cube", "3d_coords": [0, 0, 0]}], [cube(0)], 0.0),  # a missing field is no match and no error
        ([{**cube(0), "3d_coords": [0, 0, 0, 5, 5, 5]}], [cube(0)], 1.0),  # two objects run together
        ([cube(0.1), cube(0.0)], [cube(0.24), cube(0.3)], 1 / 3),  # order: the first takes what the second needed
    ],
)
def test_clevr_by_hand(predicted, truth, score):
    assert clevr_index(predicted, truth, tau=0.25) == score


def test_objaworld_subtracts_angles_without_going_around():
    assert objaworld_index([bench(0, 3.1)], [true_bench(0, 3.0)], tau=0.25) == 1
    assert objaworld_index([bench(0, 3.1)], [true_bench(0, -3.1)], tau=0.25) == 0  # 0.08 rad around the circle
    assert objaworld_index([bench(0, 0.15)], [true_bench(0, 0.0)], tau=0.25) == 0  # the limit itself is too far
    assert objaworld_index([bench(0, 0, z=0.25)], [true_bench(0, 0, z=0.1)], tau=0.25) == 0
    assert objaworld_index([bench(0, 0)], [true_bench(0, 0, shape="sofa-3")], tau=0.25) == 0
    assert objaworld_index([{"shape": "bench", "3d_coords": [0, 0, 0.2]}], [true_bench(0, 0)], tau=0.25) == 0


def test_objectron_takes_the_closest_where_clevr_takes_the_first():
    predicted, truth = [shoe(0.1), shoe(0.0)], [shoe(0.02), shoe(0.12)]
    assert objectron_index(predicted, truth, tau=0.09) == 1  # the first in order would leave the second nothing
    assert objectron_index([shoe(0)], [shoe(0, category="cup")], tau=0.25) == 0
    assert objectron_index([shoe(0, size=0.5)], [shoe(0, size=0.25)], tau=0.25) == 0
    assert objectron_index([shoe(0), shoe(0, category="cup")], [shoe(0), shoe(1)], tau=0.25) == 1 / 3
    with pytest.raises(SceneError, match="has no index for that"):
        objectron_index([], [], tau=0.25)


def test_answers_lose_their_markers_and_nothing_else():
    predicted = ["[TEXT-START]yes[TEXT-END]<|end_of_text|>", " 3 ", "Yes", "metal."]
    assert answer_accuracy(predicted, ["yes", "3", "yes", "metal"]) == 0.5
    with pytest.raises(SceneError, match="1 predictions and 0 truths"):
        answer_accuracy(["yes"], [])
