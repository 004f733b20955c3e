"""A scene's camera in its rendering: objects come to stand in the picture where that camera sees them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from alike import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.data.clevr.sampling import ClevrRules, render_scenes, sample_scenes
from kyvo.errors import ConfigError, SceneError
from kyvo.generation.canonical_camera import FARTHEST, rendering_camera, to_canonical_camera
from kyvo.models.heads.refined_scenes import mean_camera, refine_scenes
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.cube_views import viewing_directions
from kyvo.scene.scene import Scene
from kyvo.scene.schema import CLEVR_CAMERA, clevr_camera
from kyvo.testing import tiny_kyvo, tiny_refiner

SCHEMA = clevr_schema()
OWN = clevr_camera(120, 80)
RULES = ClevrRules(min_objects=3, max_objects=6, floor=2.0)
jitter = st.floats(-0.5, 0.5)


@cache
def scenes(count: int) -> list[Scene]:
    return sample_scenes(range(count), seed=3, width=120, height=80, rules=RULES)


def looking_from(scene: Scene, moved) -> Scene:
    return replace(scene, camera=clevr_camera(480, 320, tuple(np.add(CLEVR_CAMERA, moved))))


def places(scene: Scene) -> np.ndarray:
    return np.array([item.location for item in scene.objects])


def pixels(scene: Scene) -> np.ndarray:
    return scene.camera.resized(120, 80).project(places(scene))[:, :2]


def half_bin(scene: Scene) -> np.ndarray:
    """Pixels, per object and axis of the picture, that a move by half a bin of the location takes it in OWN's picture.

    OWN sees a bin as a quadrilateral, so its corners are farthest from its centre.
    """
    exact = OWN.at_heights(pixels(scene), places(scene)[:, 2])
    steps = [axis.values[1] - axis.values[0] for axis in SCHEMA.field("location").axes]
    corners = [(right * steps[0] / 2, up * steps[1] / 2, 0.0) for right in (-1, 1) for up in (-1, 1)]
    return np.max([np.abs(OWN.project(exact + corner) - OWN.project(exact))[:, :2] for corner in corners], axis=0)


@given(moved=st.tuples(jitter, jitter, jitter), number=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_objects_are_seen_where_the_scenes_own_camera_sees_them(moved, number):
    scene = looking_from(scenes(4)[number], moved)
    there = to_canonical_camera(scene, OWN, SCHEMA)
    assert there.camera is OWN and rendering_camera(scene, OWN, SCHEMA) is scene.camera
    assert (np.abs(pixels(there) - pixels(scene)) <= half_bin(scene) + 1e-6).all() and half_bin(scene).max() < 1.0
    for one, other in zip(there.objects, scene.objects, strict=True):
        assert one.location[2] == other.location[2]
        assert (one.shape, one.size, one.color, one.material) == (other.shape, other.size, other.color, other.material)


@given(moved=st.tuples(jitter, jitter, jitter), number=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_objects_are_turned_to_the_camera_as_they_are_to_their_own(moved, number):
    scene = looking_from(scenes(4)[number], moved)
    there = to_canonical_camera(scene, OWN, SCHEMA)
    for before, after in zip(scene.objects, there.objects, strict=True):
        (own,), (seen,) = (viewing_directions(*one) for one in ((scene.camera, [before]), (OWN, [after])))
        assert after.turn - seen == pytest.approx(before.turn - own)


def test_the_picture_is_nearer_to_the_cameras_own():
    (scene,) = scenes(1)
    scene = looking_from(scene, (0.4, -0.4, 0.3))
    true, moved, plain = render_scenes(
        [scene, to_canonical_camera(scene, OWN, SCHEMA), replace(scene, camera=None)], width=120, height=80
    ).astype(float)
    assert np.square(moved - true).mean() < 0.5 * np.square(plain - true).mean()


def test_without_a_camera_or_with_one_too_far_away_scenes_stay_where_they_are():
    (scene,) = scenes(1)
    for other in (replace(scene, camera=None), looking_from(scene, (-12.0, 12.0, 0.0)), replace(scene, objects=())):
        there = to_canonical_camera(other, OWN, SCHEMA)
        assert there.objects == other.objects and there.camera is OWN
    assert rendering_camera(looking_from(scene, (-12.0, 12.0, 0.0)), OWN, SCHEMA) is OWN
    assert np.linalg.norm(np.subtract(CLEVR_CAMERA, OWN.location)) < FARTHEST


def test_objects_stay_among_the_schemas_numbers():
    (scene,) = scenes(1)
    edge = replace(scene, objects=(scene.objects[0].with_values(location=(3.0, 3.0, 0.35)),))
    (item,) = to_canonical_camera(looking_from(edge, (0.5, -0.5, -0.5)), OWN, SCHEMA).objects
    assert max(map(abs, item.location)) <= 3.0
    outside = replace(scene, objects=(scene.objects[0].with_values(location=(3.4, 0.0, 0.35)),))
    with pytest.raises(SceneError, match="location"):
        to_canonical_camera(looking_from(outside, (0.1, 0.0, 0.0)), OWN, SCHEMA)


def test_a_model_with_a_refiner_heeds_cameras():
    plain, (scene,) = tiny_kyvo(), scenes(1)
    seen = looking_from(scene, (0.4, -0.4, 0.3))
    assert plain.rendering.loop.to_canonical_camera(seen) is seen and plain.rendering_camera(seen) == clevr_camera(
        24, 16
    )
    kyvo = tiny_kyvo(refiner=tiny_refiner())
    there = kyvo.rendering.loop.to_canonical_camera(seen)
    assert there.objects != seen.objects and kyvo.rendering_camera(seen) is seen.camera
    assert kyvo.rendering_camera(replace(seen, camera=None)) == mean_camera(kyvo.processor.refiner.config)
    (picture,) = kyvo.render([seen], closed_loop=False)
    (same,) = kyvo.render([replace(there, camera=None)], closed_loop=False)
    assert_alike(picture, same)


def test_known_cameras_place_what_was_read():
    (scene,) = scenes(1)
    picture = np.zeros((16, 24, 3), np.uint8)
    with pytest.raises(ConfigError, match="no refiner"):
        tiny_kyvo().recognize([picture], cameras=[OWN])
    kyvo = tiny_kyvo(refiner=tiny_refiner())
    with pytest.raises(ConfigError, match="refine=False"):
        kyvo.recognize([picture], cameras=[OWN], refine=False)

    scene_schema = kyvo.processor.schema

    def refined(cameras=None):
        return refine_scenes(kyvo.processor.refiner, [scene], [picture], scene_schema, cameras=cameras)[0]

    read = refined()
    near, turned = clevr_camera(480, 320), looking_from(scene, (0.4, -0.4, 0.0)).camera
    for camera in (near, turned):
        known = refined([camera])
        assert known.camera == camera.resized(24, 16)
        inside = (np.abs(places(read)[:, :2]) < 2.9).all(1) & (np.abs(places(known)[:, :2]) < 2.9).all(1)
        assert inside.any()
        # Heights are put on the schema's numbers afterwards.
        np.testing.assert_allclose(pixels(read)[inside], pixels(known)[inside], atol=0.5)
    assert refined([None]) == read
