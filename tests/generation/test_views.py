from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ConfigError
from kyvo.generation.views import averaged, shifted, shifts
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import clevr_schema
from kyvo.testing import scenes, tiny_kyvo

SCHEMA = clevr_schema()
RED = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
BLUE = replace(RED, color="blue", location=(1.0, 2.0, 0.35))


def moved(item, x):
    return replace(item, location=(item.location[0] + x, *item.location[1:]))


def without_confidence(scene):
    return [replace(item, confidence=None) for item in scene.objects]


def scene_of(*objects):
    return Scene(objects=objects)


@given(scene=scenes(SCHEMA, max_objects=6), data=st.data())
def test_alike_views_in_any_order_change_nothing(scene, data):
    scene = SCHEMA.snap(scene)
    others = [replace(scene, objects=tuple(data.draw(st.permutations(scene.objects)))) for _ in range(2)]
    for before, after in zip(scene.objects, averaged(scene, others, SCHEMA).objects, strict=True):
        np.testing.assert_allclose(after.location, before.location, atol=1e-9)
        assert replace(after, location=before.location) == before


def test_opposite_views_cancel_out_and_objects_of_the_same_words_are_told_apart():
    scene = scene_of(RED, moved(RED, 1.0), BLUE)
    right, left = (scene_of(*(moved(item, x) for item in reversed(scene.objects))) for x in (0.3, -0.3))
    found = averaged(scene, [right, left], SCHEMA)
    np.testing.assert_allclose([item.location for item in found.objects], [item.location for item in scene.objects])
    one_sided = averaged(scene, [right], SCHEMA)
    np.testing.assert_allclose([item.location[0] for item in one_sided.objects], [0.15, 1.15, 1.15])


def test_a_view_with_other_objects_counts_for_those_that_it_has():
    found = averaged(scene_of(RED, BLUE), [scene_of(moved(RED, 0.4), moved(RED, 2.0), moved(BLUE, 0.4))], SCHEMA)
    np.testing.assert_allclose([item.location[0] for item in found.objects], [0.0, 1.2])


def test_a_shifted_picture_has_its_edge_repeated():
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    there = shifted(picture, 2, -1)
    assert np.array_equal(there[:-1, 2:], picture[1:, :-2]) and np.array_equal(there[:-1, 0], picture[1:, 0])
    assert np.array_equal(shifted(picture, 0, 0), picture)


def test_views_give_the_same_objects_elsewhere():
    kyvo = tiny_kyvo()
    config = kyvo.processor.image.config
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, config.height, config.width, 3), dtype=np.uint8))
    plain, thrice = kyvo.recognize(pictures), kyvo.recognize(pictures, views=3)
    sides = [kyvo.recognize([shifted(picture, *side) for picture in pictures]) for side in shifts(3)]
    for index, (one, three) in enumerate(zip(plain, thrice, strict=True)):
        expected = averaged(one, [side[index] for side in sides], SCHEMA)
        assert without_confidence(three) == without_confidence(expected)  # which a larger batch rounds otherwise
        assert [item.shape for item in one.objects] == [item.shape for item in three.objects]
    with pytest.raises(ConfigError, match="1, 3, 5"):
        kyvo.recognize(pictures, views=2)
