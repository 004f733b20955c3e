"""Drawn scenes keep CLEVR's rules, and are set by their seed and index."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.data.clevr import raytracer
from kyvo.data.clevr.sampling import ClevrRules, render_scenes, sample_scenes, scene_batch
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import clevr_schema, objaworld_schema
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_CAMERA, CLEVR_RADIUS, clevr_camera


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**40), first=st.integers(0, 10**6))
def test_drawn_scenes_keep_the_rules(seed, first):
    rules = ClevrRules()
    for scene in sample_scenes(range(first, first + 3), seed=seed, width=120, height=80):
        assert rules.min_objects <= len(scene) <= rules.max_objects
        assert np.abs(np.subtract(scene.camera.location, CLEVR_CAMERA)).max() <= 0.5 + 1e-5
        assert np.abs(np.subtract(scene.extra["lamps"], raytracer.LAMPS)).max() <= 1 + 1e-5
        right = np.array(clevr_camera(3, 2).rotation[0][:2])
        behind = np.array([-right[1], right[0]])
        for item in scene.objects:
            assert max(map(abs, item.location[:2])) <= rules.floor
            assert item.location[2] == CLEVR_RADIUS[item.size]
            column, line, depth = scene.camera.project(np.array([item.location]))[0]
            assert item.extra["pixel_coords"] == [
                int(np.floor(column)),
                int(np.floor(line)),
                pytest.approx(depth, abs=1e-4),
            ]
        for one, other in itertools.combinations(scene.objects, 2):
            apart = np.subtract(one.location, other.location)[:2]
            assert np.linalg.norm(apart) - CLEVR_RADIUS[one.size] - CLEVR_RADIUS[other.size] >= rules.gap - 1e-4
            assert min(abs(apart @ right), abs(apart @ behind)) >= rules.margin - 1e-4
            assert not _overlap(one, other)
        seen = raytracer.visible_fraction(scene_batch([scene]), width=120, height=80)
        assert (seen >= rules.min_visible).all()


def _overlap(one: SceneObject, other: SceneObject) -> bool:
    """Whether the outlines on the floor meet, tried at 400 points of each outline."""
    return any(_inside(points, solid).any() for points, solid in ((_outline(one), other), (_outline(other), one)))


def _local(points: np.ndarray, item: SceneObject) -> np.ndarray:
    cos, sin = np.cos(item.extra["rotation"]), np.sin(item.extra["rotation"])
    return (points - item.location[:2]) @ np.array([[cos, -sin], [sin, cos]])


def _inside(points: np.ndarray, item: SceneObject) -> np.ndarray:
    size = np.abs(_local(points, item)).max(1) if item.shape == "cube" else np.hypot(*_local(points, item).T)
    return size < CLEVR_RADIUS[item.size]


def _outline(item: SceneObject) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 400)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if item.shape == "cube":
        circle = circle / np.abs(circle).max(1, keepdims=True)
    cos, sin = np.cos(item.extra["rotation"]), np.sin(item.extra["rotation"])
    return circle @ np.array([[cos, sin], [-sin, cos]]) * CLEVR_RADIUS[item.size] + item.location[:2]


def test_a_scene_is_set_by_its_seed_and_index_alone():
    together = sample_scenes(range(4), seed=5, width=32, height=24)
    assert sample_scenes([2], seed=5, width=32, height=24) == [together[2]]
    assert sample_scenes([2], seed=6, width=32, height=24) != [together[2]]
    assert together[0] != together[1]


def test_a_scene_read_back_from_json_renders_the_same_picture():
    scenes = sample_scenes(range(3), seed=1, width=48, height=32)
    read = [scene_from_json(scene_to_json(scene)) for scene in scenes]
    first, second = (render_scenes(each, width=48, height=32).astype(int) for each in (scenes, read))
    assert np.abs(first - second).max() <= 32 and np.abs(first - second).mean() < 0.01  # six decimals of rotation


def test_a_camera_is_tilted_and_its_picture_cropped_as_far_as_the_rules_say():
    rules = ClevrRules(camera_roll=6, camera_crop=0.07)
    scenes = sample_scenes(range(12), seed=3, width=120, height=80, rules=rules)
    rolls, zooms = [], []
    for scene in scenes:
        level = clevr_camera(120, 80, scene.camera.location)
        rolls.append(np.degrees(np.arctan2(*np.dot([level.rotation[1], level.rotation[0]], scene.camera.rotation[0]))))
        zooms.append(scene.camera.focal / level.focal)
    assert -6 <= min(rolls) < -1 and 1 < max(rolls) <= 6
    assert 1 <= min(zooms) < 1.05 and 1.1 < max(zooms) <= 1 / (1 - 0.14)


def test_objects_that_do_not_fit_are_refused():
    with pytest.raises(SceneError, match=r"40 objects found no place .* Ask for fewer objects \(now 40 to 40\)"):
        sample_scenes([0], seed=0, width=32, height=24, rules=ClevrRules(min_objects=40, max_objects=40))
    with pytest.raises(ConfigError, match="5 to 4 objects a scene are no range"):
        ClevrRules(min_objects=5, max_objects=4)


def test_a_scene_without_solids_is_refused_with_its_place():
    good = SceneObject(shape="cube", size="small", color="red", material="metal", location=(0.0, 0.0, 0.35))
    for name, word, known in (
        ("shape", "torus", "cube, sphere, cylinder, cone"),
        ("color", "mauvish", "gray, red, .*, and the colors that CSS names"),
        ("color", None, "gray"),
        ("size", "medium", "large, small"),
        ("material", "wood", "rubber, metal"),
    ):
        bad = good.with_values(**{name: word})
        with pytest.raises(SceneError, match=rf"scenes\[1\].objects\[1\].{name} is {word!r}; .* knows {known}"):
            scene_batch([Scene(objects=(good,)), Scene(objects=(good, bad))])
    with pytest.raises(SceneError, match=r"scenes\[0\].objects\[0\].location is missing"):
        scene_batch([Scene(objects=(good.with_values(location=None),))])


def test_scenes_are_drawn_with_the_words_of_a_schema():
    schema = clevr_schema().with_words("color", ["orange"], name="mine").with_words("shape", ["cone"], name="mine")
    scenes = sample_scenes(range(30), seed=1, width=48, height=32, rules=ClevrRules.of(schema, min_objects=8))
    objects = [item for scene in scenes for item in scene.objects]
    assert {scene.schema for scene in scenes} == {"mine"}
    for name in ("size", "color", "material", "shape"):
        assert {item.get(name) for item in objects} == set(schema.field(name).words)
    assert ClevrRules.of(clevr_schema()) == ClevrRules()


def test_a_schema_that_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="shape is 'torus'; the ray tracer knows cube, sphere, cylinder, cone"):
        ClevrRules.of(clevr_schema().with_words("shape", ["torus"], name="mine"))
    with pytest.raises(ConfigError, match="schema 'objaworld' has the fields location, pose, shape in clevr; the ray"):
        ClevrRules.of(objaworld_schema())
