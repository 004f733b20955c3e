"""What a diff finds."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_scenes import scenes

from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.diff import Change, diff
from kyvo.scene.scene import Scene, SceneObject


def thing(color, x, y=0.0, **values):
    return SceneObject(shape="cube", size="large", material="metal", color=color, location=(x, y, 0.7), **values)


BASE = Scene(objects=(thing("red", -2.0), thing("green", 0.0), thing("blue", 2.0)))


@settings(max_examples=30)
@given(scene=scenes(clevr_schema()), seed=st.integers(0, 99))
def test_a_scene_in_another_order_does_not_differ(scene, seed):
    objects = list(scene.objects)
    random.Random(seed).shuffle(objects)
    assert not diff(scene, replace(scene, objects=tuple(objects)))


def test_adding_removing_moving_and_recolouring_are_each_found():
    after = replace(BASE, objects=(thing("cyan", 0.0, -2.5), thing("yellow", 2.0), thing("red", -2.0, 1.5)))
    found = diff(BASE, after)
    assert found.added == (0,)
    assert found.removed == (1,)
    assert [(move.before, move.after, move.distance) for move in found.moved] == [(0, 2, 1.5)]
    assert found.changed == (Change(before=2, after=1, attribute="color", old="blue", new="yellow"),)
    assert json.loads(json.dumps(found.to_dict()))["moved"][0]["distance"] == 1.5


def test_the_assignment_is_the_cheapest_of_all_and_not_the_first():
    before = Scene(objects=(thing("red", 0.0), thing("red", 0.4)))
    after = Scene(objects=(thing("red", 0.5), thing("red", -0.5)))
    assert [(move.before, move.after) for move in diff(before, after).moved] == [(0, 1), (1, 0)]


def test_everything_is_added_to_an_empty_scene_and_removed_from_a_full_one():
    empty = replace(BASE, objects=())
    assert diff(empty, BASE).added == (0, 1, 2)
    assert diff(BASE, empty).removed == (0, 1, 2)
    assert not diff(empty, empty)


def test_a_location_that_comes_or_goes_is_a_change():
    nowhere = replace(BASE.objects[0], location=None)
    found = diff(replace(BASE, objects=(nowhere,)), replace(BASE, objects=BASE.objects[:1]))
    assert [change.attribute for change in found.changed] == ["location"]


def test_rounding_and_confidence_are_no_difference():
    near = tuple(thing(item.color, item.location[0] + 1e-6, confidence=0.5) for item in BASE.objects)
    assert not diff(BASE, replace(BASE, objects=near))


def test_scenes_in_different_units_are_refused():
    with pytest.raises(SceneError, match="units is 'clevr' before and 'm' after"):
        diff(BASE, replace(BASE, units="m"))
