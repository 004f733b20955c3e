"""A second look takes the picture in which objects are read nearest to where, and what, they should be."""

from dataclasses import replace

import numpy as np
import pytest
from alike import assert_alike

from kyvo.data.clevr import ClevrRules, sample_scenes
from kyvo.generation.looking import MISSED, SHARES, look_again, moved, off
from kyvo.models.refined_scenes import mean_camera, refine_scenes
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_schema
from kyvo.testing import tiny_kyvo, tiny_refiner

SCHEMA = clevr_schema()
REFINER = tiny_refiner()
CAMERA = mean_camera(REFINER.config)


def drawn(count: int) -> list[Scene]:
    rules = ClevrRules(min_objects=2, max_objects=4)
    return [
        SCHEMA.snap(scene, clamp=True)
        for scene in sample_scenes(range(count), seed=4, width=24, height=16, rules=rules)
    ]


def shifted(scene: Scene, x: float, y: float) -> Scene:
    places = [(item.location[0] + x, item.location[1] + y, item.location[2]) for item in scene.objects]
    items = zip(scene.objects, places, strict=True)
    return replace(scene, objects=tuple(replace(item, location=place) for item, place in items))


def pictures(count: int, seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 16, 24, 3), dtype=np.uint8))


def test_objects_are_moved_against_what_they_are_off():
    (scene,) = drawn(1)
    inside = shifted(scene, -scene.objects[0].location[0], -scene.objects[0].location[1])  # the first at the middle
    for share in SHARES:
        found = moved(inside, shifted(inside, 0.2, -0.4), share, SCHEMA).objects[0]
        x, y, z = found.location
        assert (x, y) == (pytest.approx(-0.2 * share, abs=0.026), pytest.approx(0.4 * share, abs=0.026))
        assert z == inside.objects[0].location[2] and found.color == inside.objects[0].color
    far = moved(scene, shifted(scene, -50.0, 0.0), 1.0, SCHEMA)
    assert {item.location[0] for item in far.objects} == {3.0}
    assert len(SCHEMA.snap(far)) == len(scene)


def test_how_far_off_objects_are_counts_words_and_has_an_end():
    (scene,) = drawn(1)
    assert off(scene, scene, SCHEMA) == 0 == off(Scene(objects=()), Scene(objects=()), SCHEMA)
    assert off(scene, shifted(scene, 0.03, 0.04), SCHEMA) == pytest.approx(0.05)
    assert off(scene, shifted(scene, 9.0, 0.0), SCHEMA) == pytest.approx(MISSED)
    other = replace(scene.objects[0], color="red" if scene.objects[0].color != "red" else "blue")
    wrong = replace(scene, objects=(other, *scene.objects[1:]))
    assert off(scene, wrong, SCHEMA) == pytest.approx(MISSED / len(scene))


def test_the_best_of_all_pictures_is_taken():
    scenes, first = drawn(3), pictures(3, seed=1)
    again = pictures(3 * len(SHARES), seed=2)
    asked: list[Scene] = []

    def render(tried):
        asked.extend(tried)
        return [None if index == 0 else picture for index, picture in enumerate(again)]

    best = look_again(REFINER, scenes, first, SCHEMA, render)
    assert len(asked) == 3 * len(SHARES)
    read = refine_scenes(REFINER, scenes, first, SCHEMA, cameras=[CAMERA] * 3)
    for number, scene in enumerate(scenes):
        own = range(number * len(SHARES), (number + 1) * len(SHARES))
        assert [asked[index] for index in own] == [moved(scene, read[number], share, SCHEMA) for share in SHARES]
        candidates = [first[number], *(again[index] for index in own if index > 0)]
        cameras = [CAMERA] * len(candidates)
        found = refine_scenes(REFINER, [scene] * len(candidates), candidates, SCHEMA, cameras=cameras)
        errors = [off(scene, one, SCHEMA) for one in found]
        np.testing.assert_array_equal(best[number], candidates[int(np.argmin(errors))])


def test_without_anything_better_the_first_picture_stays():
    scenes, first = drawn(2), pictures(2, seed=1)
    best = look_again(REFINER, scenes, first, SCHEMA, lambda tried: [None] * len(tried))
    assert all(one is other for one, other in zip(best, first, strict=True))
    (empty,) = look_again(REFINER, [Scene(objects=())], first[:1], SCHEMA, lambda tried: [first[1]] * len(tried))
    assert empty is first[0]


def test_a_model_with_a_refiner_looks_unless_told_otherwise():
    kyvo, scenes = tiny_kyvo(), drawn(2)
    plain = kyvo.render(scenes)
    for one, other in zip(plain, kyvo.render(scenes, look=False), strict=True):
        assert_alike(one, other)
    config = kyvo.processor.image.config
    if (config.width, config.height) == (24, 16):
        kyvo.processor = replace(kyvo.processor, refiner=tiny_refiner())
        looked = kyvo.looked_at(scenes, plain)
        for scene, before, after in zip(scenes, plain, looked, strict=True):
            shown, cameras = kyvo.as_seen(scene), [mean_camera(kyvo.processor.refiner.config)] * 2
            read = refine_scenes(kyvo.processor.refiner, [shown] * 2, [before, after], SCHEMA, cameras=cameras)
            assert off(shown, read[1], SCHEMA) <= off(shown, read[0], SCHEMA)
        for one, other in zip(plain, kyvo.render(scenes, look=False), strict=True):
            assert_alike(one, other)
        for one, other in zip(looked, kyvo.render(scenes), strict=True):
            assert_alike(one, other)
