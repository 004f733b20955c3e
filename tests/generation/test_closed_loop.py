"""A second look takes the picture in which objects are read nearest to where, and what, they should be."""

from dataclasses import replace

import numpy as np
import pytest
from alike import assert_alike

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.generation.closed_loop import GAIN, MISSED, ROUNDS, corrected, position_error, run_closed_loop
from kyvo.models.heads.refined_scenes import mean_camera, refine_scenes
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.scene import Scene
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


def read(scenes, drawn_pictures):
    return refine_scenes(REFINER, scenes, drawn_pictures, SCHEMA, cameras=[CAMERA] * len(scenes))


def test_objects_are_asked_for_on_the_other_side_of_what_they_are_off():
    (scene,) = drawn(1)
    inside = shifted(scene, -scene.objects[0].location[0], -scene.objects[0].location[1])  # the first at the middle
    asked = corrected(inside, inside, shifted(inside, 0.2, -0.3), SCHEMA)
    (x, y, z), first = asked.objects[0].location, inside.objects[0]
    assert (x, y, z) == (pytest.approx(-0.2 * GAIN), pytest.approx(0.3 * GAIN), first.location[2])
    assert asked.objects[0].color == first.color
    # The next step goes on from where the object was asked for last.
    again = corrected(asked, inside, shifted(inside, -0.1, 0.0), SCHEMA)
    assert again.objects[0].location[:2] == (pytest.approx(x + 0.1 * GAIN), pytest.approx(y))
    for _ in range(30):
        asked = corrected(asked, inside, shifted(inside, -50.0, 0.0), SCHEMA)
    assert {item.location[0] for item in asked.objects} == {3.0}
    assert len(SCHEMA.snap(asked)) == len(scene)


def test_how_far_off_objects_are_counts_words_and_has_an_end():
    (scene,) = drawn(1)
    assert position_error(scene, scene, SCHEMA) == 0 == position_error(Scene(objects=()), Scene(objects=()), SCHEMA)
    assert position_error(scene, shifted(scene, 0.03, 0.04), SCHEMA) == pytest.approx(0.05)
    assert position_error(scene, shifted(scene, 9.0, 0.0), SCHEMA) == pytest.approx(MISSED)
    other = replace(scene.objects[0], color="red" if scene.objects[0].color != "red" else "blue")
    wrong = replace(scene, objects=(other, *scene.objects[1:]))
    assert position_error(scene, wrong, SCHEMA) == pytest.approx(MISSED / len(scene))


def test_the_best_of_all_pictures_is_taken():
    scenes, first = drawn(3), pictures(3, seed=1)
    rounds = [pictures(3, seed=2 + number) for number in range(ROUNDS)]
    asked: list[list[Scene]] = []

    def draw(moved_scenes):
        asked.append(moved_scenes)
        return rounds[len(asked) - 1]

    best = run_closed_loop(scenes, first, SCHEMA, draw=draw, read=read)
    assert len(asked) == ROUNDS
    for number, scene in enumerate(scenes):
        candidates = [first[number], *(part[number] for part in rounds)]
        found = refine_scenes(
            REFINER, [scene] * len(candidates), candidates, SCHEMA, cameras=[CAMERA] * len(candidates)
        )
        last = scene
        for part, one in zip(asked, found, strict=False):
            for item, expected in zip(part[number].objects, corrected(last, scene, one, SCHEMA).objects, strict=True):
                assert item.location == pytest.approx(expected.location, abs=2e-3)  # read in another batch
            last = part[number]
        errors = [position_error(scene, one, SCHEMA) for one in found]
        np.testing.assert_array_equal(best[number], candidates[int(np.argmin(errors))])


def test_no_look_begins_late_or_where_nothing_is_off():
    scenes, first = drawn(2), pictures(2, seed=1)
    looks: list[int] = []

    def draw(moved_scenes):
        looks.append(len(moved_scenes))
        return pictures(2, seed=2)

    best = run_closed_loop(scenes, first, SCHEMA, draw=draw, read=read, late=lambda: True)
    assert looks == [] and all(one is other for one, other in zip(best, first, strict=True))
    run_closed_loop(scenes, first, SCHEMA, draw=draw, read=read, late=lambda: len(looks) == 2)
    assert looks == [2, 2]
    (empty,) = run_closed_loop([Scene(objects=())], first[:1], SCHEMA, draw=draw, read=read)
    assert empty is first[0] and looks == [2, 2]


def test_a_model_with_a_refiner_renders_in_a_closed_loop_unless_told_otherwise():
    open_loop, closed, scenes = tiny_kyvo(), tiny_kyvo(refiner=REFINER), drawn(2)
    plain = open_loop.render(scenes)
    for one, other in zip(plain, open_loop.render(scenes, closed_loop=False), strict=True):
        assert_alike(one, other)
    first, corrected = closed.render(scenes, closed_loop=False), closed.render(scenes)
    for scene, before, after in zip(scenes, first, corrected, strict=True):
        shown = closed.rendering.loop.to_canonical_camera(scene)
        seen = read([shown] * 2, [before, after])
        assert position_error(shown, seen[1], SCHEMA) <= position_error(shown, seen[0], SCHEMA)
