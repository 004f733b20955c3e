"""Edits of scenes: each step of docs/programs.md, what they leave alone, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
from edited_scene import BALL, BIG_BALL, CUBE, PIPE, SCENE, edit, gap, move, spot
from random_programs import ALL, CLEVR, at, the, thing, to, where

from kyvo.programs import program as p
from kyvo.programs.changed_objects import carries, turned, usual_dimensions
from kyvo.programs.errors import AlreadySo, AmbiguousReference, CannotPlace, NoSuchObject, ProgramError, UnknownWord
from kyvo.programs.parsing import Turn
from kyvo.programs.world import World
from kyvo.scene.builtin_schemas import objaworld_schema, objectron_schema
from kyvo.scene.fields import Field
from kyvo.scene.relations import relationships
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import SceneSchema, clevr_camera


def test_an_edit_changes_what_it_names_and_nothing_else():
    result = edit(p.Set(of=CUBE, field="color", to=to("color", "blue")))
    assert result.scene.objects[0] == replace(SCENE.objects[0], color="blue")
    assert all(new is old for new, old in zip(result.scene.objects[1:], SCENE.objects[1:], strict=True))
    assert (result.changed, result.added, result.removed, result.objects) == ((0,), (), (), (0,))
    assert [(change.attribute, change.old, change.new) for change in result.diff.changed] == [("color", "red", "blue")]
    assert result.scene.image is None


def test_objects_beyond_the_bins_and_of_unknown_heights_keep_every_digit():
    far = replace(SCENE.objects[2], location=(7.123456789, -5.1, 0.5123), size="huge")
    scene = replace(SCENE, objects=(*SCENE.objects[:2], far, SCENE.objects[3]))
    for place in (p.Offset(direction="front", distance=0.5), p.NextTo(to=PIPE)):
        assert move(place, scene=scene).scene.objects[2] is far


def test_an_object_as_low_as_no_size_says_moves_and_grows_in_its_own_measure():
    low = replace(SCENE.objects[0], location=(-2.0, -1.0, 0.5))
    scene = replace(SCENE, objects=(low, *SCENE.objects[1:]))
    assert move(p.Offset(direction="behind", distance=1.0), scene=scene).scene.objects[0].location[2] == 0.5
    small = edit(p.Set(of=CUBE, field="size", to=to("size", "small")), scene=scene).scene.objects[0]
    assert small.location == (-2.0, -1.0, 0.25)
    on_top = edit(p.Move(of=PIPE, place=p.OnTop(of=CUBE)), scene=scene).scene.objects[3]
    assert on_top.location == (-2.0, -1.0, 1.35)


def test_what_pixels_and_relationships_say_is_made_anew():
    camera = clevr_camera(480, 320)
    objects = tuple(item.with_values(pixel_coords=[0, 0, 0.0]) for item in SCENE.objects)
    scene = Scene(objects=objects, camera=camera, extra={"relationships": {}})
    after = move(p.Offset(direction="front", distance=0.5), scene=scene).scene
    assert after.extra["relationships"] == relationships(after)
    assert (
        after.objects[0].extra["pixel_coords"][:2]
        == np.floor(camera.project(np.array([after.objects[0].location]))[0, :2]).tolist()
    )
    assert after.objects[1].extra["pixel_coords"] == [0, 0, 0.0]
    blind = move(p.Offset(direction="front", distance=0.5), scene=replace(scene, camera=None)).scene
    assert "pixel_coords" not in blind.objects[0].extra


# Words


def test_words_are_set_copied_swapped_and_replaced():
    result = edit(p.Set(of=where(shape="sphere"), field="color", to=p.WordOf(of=CUBE, field="color")))
    assert [item.color for item in result.scene.objects] == ["red"] * 4 and result.objects == (0, 1, 2)
    swapped = edit(p.Swap(first=CUBE, second=PIPE, field="size")).scene.objects
    assert [(swapped[i].size, swapped[i].location[2]) for i in (0, 3)] == [("small", 0.35), ("large", 0.7)]
    new = edit(p.Replace(of=CUBE, words=(to("shape", "cylinder"), to("color", "green")))).scene.objects[0]
    assert (new.shape, new.color, new.size, new.confidence) == ("cylinder", "green", "large", None)
    assert new.location == SCENE.objects[0].location
    assert edit(p.Set(of=ALL, field="material", to=p.Commonest(of=where(color="blue"), field="material"))).changed == (
        0,
        3,
    )


def test_a_size_changes_word_by_word_and_the_foot_stays():
    small = edit(p.Resize(of=CUBE, larger=False)).scene.objects[0]
    assert small.location == (*SCENE.objects[0].location[:2], 0.35)
    grown = edit(p.Resize(of=where(size="small"), larger=True))
    assert [item.size for item in grown.scene.objects] == ["large"] * 4
    sizes = SceneSchema(name="three", fields=(Field(name="size", marker="[SIZE]", words=("small", "medium", "large")),))
    one = Scene(objects=(SceneObject(size="small", location=(0.0, 0.0, 0.35)),))
    assert edit(p.Resize(of=ALL, larger=True), scene=one, schema=sizes).scene.objects[0].size == "medium"


def test_a_grown_object_that_meets_another_is_told():
    def notes(away):
        pair = (thing("small red metal cylinder", 0, 0), thing("large blue metal sphere", away, 0))
        return edit(p.Resize(of=PIPE, larger=True), scene=replace(SCENE, objects=pair)).notes

    assert notes(1.3) == ("the cylinder now meets the sphere",)
    assert notes(1.4) == ()  # they touch
    assert notes(1.0) == ()  # they met before


def test_an_edit_that_changes_nothing_says_so_and_part_of_one_is_a_note():
    with pytest.raises(AlreadySo, match=r"the cube is red already\."):
        edit(p.Set(of=CUBE, field="color", to=to("color", "red")))
    with pytest.raises(AlreadySo, match="the cube is large already; no size is larger"):
        edit(p.Resize(of=CUBE, larger=True))
    with pytest.raises(AlreadySo, match="both objects are red"):
        edit(p.Swap(first=CUBE, second=PIPE, field="color"))
    with pytest.raises(AlreadySo, match="stands there already"):
        x, y, z = SCENE.objects[0].location
        move(p.Point(x=x, y=y, z=z))
    with pytest.raises(AlreadySo, match="the cube is red already; the small sphere is blue already"):
        edit(
            p.Set(of=CUBE, field="color", to=to("color", "red")), p.Set(of=BALL, field="color", to=to("color", "blue"))
        )
    both = edit(
        p.Set(of=CUBE, field="color", to=to("color", "red")), p.Set(of=BALL, field="color", to=to("color", "red"))
    )
    assert both.changed == (1,) and both.notes == ("the cube is red already",)
    assert edit(p.Set(of=ALL, field="color", to=to("color", "red"))).changed == (1, 2)


# Coming and going


def test_what_is_removed_goes_and_what_stood_on_it_is_told():
    result = edit(p.Remove(of=p.Except(of=ALL, without=CUBE)))
    assert result.scene.objects == SCENE.objects[:1] and result.removed == (1, 2, 3)
    tower = replace(
        SCENE, objects=(SCENE.objects[0], thing("small green rubber sphere", 0, 0, location=at(-2.2, 0, 1.75)))
    )
    assert edit(p.Remove(of=CUBE), scene=tower).notes == ("the sphere stood on it and is left where it was",)


def test_a_new_object_is_as_most_are_and_has_a_free_place():
    result = edit(p.Add(words=(to("shape", "cube"),)))
    assert result.added == (4,)
    new = result.scene.objects[4]
    assert (new.shape, new.size, new.color, new.material) == ("cube", "large", "red", "rubber")
    assert result.notes == ("a new object is large, red and rubber, as most objects are",)
    assert all(gap(result.scene, 4, index) > 0.1 for index in range(4))
    empty = edit(p.Add(words=(to("shape", "cube"),), count=2), scene=Scene(objects=()))
    assert len(empty.scene) == 2 and empty.notes == ("a new object is large, gray and rubber, for the scene is empty",)


def test_new_objects_stand_one_after_another_at_their_place():
    red = (to("shape", "cube"), to("color", "red"), to("size", "small"), to("material", "metal"))
    result = edit(p.Add(words=red, place=p.Beside(direction="left", to=BALL), count=2))
    first, second = (spot(result.scene, index) for index in result.added)
    assert second[0] < first[0] < 0.5 and abs(first[1]) < 1e-5 and abs(second[1]) < 1e-5
    pile = edit(p.Add(words=red, place=p.OnTop(of=CUBE), count=2)).scene
    assert [item.location[2] for item in pile.objects[4:]] == [1.75, 2.45]


def test_a_copy_is_the_same_but_for_its_place_and_confidence():
    result = edit(p.Copy(of=CUBE, place=p.Offset(direction="front", distance=2.0)))
    copy = result.scene.objects[4]
    assert replace(copy, location=None) == replace(SCENE.objects[0], location=None, confidence=None)
    assert spot(result.scene, 4) == pytest.approx([-2.2, -2.0, 0.7], abs=1e-5)
    beside = edit(p.Copy(of=CUBE)).scene
    assert 0.1 < gap(beside, 4, 0) < 0.2
    few = replace(SCENE, objects=SCENE.objects[:3])
    both = edit(p.Copy(of=where(shape="sphere"), place=p.Offset(direction="front", distance=2.0)), scene=few).scene
    assert spot(both, 4) - spot(both, 3) == pytest.approx(spot(few, 2) - spot(few, 1), abs=1e-5)


def test_a_scene_has_no_more_objects_than_the_limit():
    with pytest.raises(CannotPlace, match="the scene would have 17 objects; at most 16 are allowed"):
        edit(p.Copy(of=CUBE, count=13))
    with pytest.raises(CannotPlace, match="at most 4 are allowed"):
        edit(p.Add(words=(to("shape", "cube"),)), max_objects=4)


def test_new_objects_have_what_their_schema_asks_for():
    bench = SceneObject(shape="bench", location=(0.0, 0.0, 0.4), pose=(0.0, 0.0, 1.0))
    park = Scene(objects=(bench,), schema="objaworld")
    result = edit(
        p.Add(words=(to("shape", "person"),), place=p.NextTo(to=the(shape="bench"))),
        scene=park,
        schema=objaworld_schema(),
    )
    assert result.scene.objects[1].pose == (0.0, 0.0, 0.0)
    assert result.notes == ("how large the new person is, is not known; a radius of 0.35 is taken",)
    cup = SceneObject(category="cup", location=(0.0, 0.0, 1.0), dimensions=(0.1, 0.2, 0.1))
    table = Scene(objects=(cup,), schema="objectron", frame="camera", up_axis="-y", units="m")
    cups = edit(
        p.Add(words=(to("category", "cup"),), place=p.Beside(direction="right", to=p.Numbered(index=0))),
        scene=table,
        schema=objectron_schema(),
    )
    assert cups.scene.objects[1].dimensions == (0.1, 0.2, 0.1)
    assert cups.scene.objects[1].location == pytest.approx((0.11, 0.0, 1.0), abs=0.002)


def test_a_turn_is_counter_clockwise_and_in_the_objects_own_number():
    assert edit(p.Rotate(of=CUBE, degrees=90)).scene.objects[0].extra["rotation"] == pytest.approx(
        math.pi / 2, abs=1e-5
    )
    bench = Scene(
        objects=(SceneObject(shape="bench", location=(0.0, 0.0, 0.4), pose=(0.0, 0.0, 3.0)),), schema="objaworld"
    )
    turned = edit(p.Rotate(of=ALL, degrees=90), scene=bench, schema=objaworld_schema())
    assert turned.scene.objects[0].pose[2] == pytest.approx(3 + math.pi / 2 - 2 * math.pi, abs=1e-5)
    with pytest.raises(AlreadySo, match="a turn by 360 degrees changes nothing"):
        edit(p.Rotate(of=CUBE, degrees=360))


def test_dimensions_scale_and_words_do_not():
    cup = SceneObject(category="cup", location=(0.0, 0.0, 1.0), dimensions=(0.1, 0.2, 0.1))
    table = Scene(objects=(cup,), schema="objectron", frame="camera", up_axis="-y", units="m")
    big = edit(p.Resize(of=ALL, larger=True, factor=2.0), scene=table, schema=objectron_schema()).scene.objects[0]
    assert big.dimensions == (0.2, 0.4, 0.2) and big.location == (0.0, -0.1, 1.0)  # its foot stays
    with pytest.raises(ProgramError, match="the cube has no dimensions to scale; its sizes are words: small, large"):
        edit(p.Resize(of=CUBE, larger=True, factor=2.0))


# References back


def test_it_is_what_the_step_before_was_about():
    result = edit(
        p.Set(of=CUBE, field="color", to=to("color", "blue")),
        p.Move(of=p.Earlier(), place=p.Beside(direction="front", to=BIG_BALL)),
    )
    assert result.changed == (0,) and result.scene.objects[0].color == "blue"
    added = edit(
        p.Add(words=(to("shape", "cube"), to("color", "green"))),
        p.Set(of=p.Earlier(), field="size", to=to("size", "small")),
    )
    assert added.scene.objects[4].size == "small" and added.added == (4,) and added.changed == ()
    assert added.diff.added == (4,) and added.diff.changed == ()


def test_back_is_where_it_stood_before_the_last_move():
    after = move(p.Offset(direction="front", distance=0.5)).scene
    turn = Turn(text="", program=p.Edit(steps=(p.Remove(of=ALL),)), changed=(0,), before=SCENE, after=after)
    again = move(p.Before(), scene=after, dialogue=[turn])
    assert again.scene.objects[0].location == pytest.approx(SCENE.objects[0].location, abs=1e-5)
    with pytest.raises(ProgramError, match="it was not moved before"):
        move(p.Before())


def test_a_place_can_be_where_something_was_removed_or_moved_away():
    gone = edit(p.Remove(of=CUBE), p.Move(of=PIPE, place=p.PlaceOf(of=p.Earlier(role="removed"))))
    assert spot(gone.scene, 2) == pytest.approx([-2.2, 0.0, 0.35], abs=1e-5) and gone.removed == (0,)
    away = edit(p.Move(of=CUBE, place=p.At(region="front left")), p.Move(of=PIPE, place=p.PlaceOf(of=CUBE)))
    assert spot(away.scene, 3) == pytest.approx([-2.2, 0.0, 0.35], abs=1e-5)
    with pytest.raises(CannotPlace, match="can not go where the cube stands: the cube stands there"):
        move(p.PlaceOf(of=CUBE), of=PIPE)


# What is refused


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (p.Remove(of=the(color="green")), NoSuchObject, "there are no green objects; there is 1 large red metal cube"),
        (p.Remove(of=where(color="green")), NoSuchObject, "there are no green objects"),
        (p.Remove(of=the(shape="sphere")), AmbiguousReference, "2 objects are spheres and one is meant"),
        (p.Set(of=CUBE, field="color", to=to("color", "teal")), UnknownWord, "'teal' is no color here"),
        (p.Set(of=CUBE, field="color", to=to("size", "small")), ProgramError, "a color is set to a size"),
        (p.Set(of=CUBE, field="mood", to=to("mood", "sad")), UnknownWord, "the schema clevr have no 'mood'"),
        (
            p.Add(words=(to("color", "red"), to("color", "blue"))),
            ProgramError,
            "the color of a new object is given twice",
        ),
        (p.Add(words=()), ProgramError, "a new object needs a word at least; its fields are size, color"),
        (
            p.Move(of=CUBE, place=p.Offset(direction="left", distance=9.0)),
            CannotPlace,
            "the bins go from -3.025 to 3.025; the nearest free place",
        ),
        (p.Move(of=CUBE, place=p.Offset(direction="above", distance=1.0)), CannotPlace, "it would hang in the air"),
        (p.Move(of=CUBE, place=p.Point(x=0.0, y=-2.5, z=0.1)), CannotPlace, "it would be in the floor"),
        (p.Move(of=CUBE, place=p.NextTo(to=CUBE)), ProgramError, "can not be placed by the cube, which moves with it"),
        (p.Move(of=CUBE, place=p.Beside(direction="below", to=BALL)), CannotPlace, "below the small sphere is no room"),
        (
            p.Move(of=CUBE, place=p.Beside(direction="left", to=the(shape="sphere"))),
            AmbiguousReference,
            "2 objects are spheres",
        ),
        (p.Swap(first=CUBE, second=CUBE), ProgramError, "are the same object; two are needed"),
        (p.Align(of=CUBE, direction="left"), ProgramError, "one object is on one line with itself"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(step, error, message):
    with pytest.raises(error, match=message):
        edit(step)


def test_an_error_in_a_later_step_names_it_and_nothing_has_changed():
    with pytest.raises(NoSuchObject, match=r"^step 2 of 2: there are no green objects"):
        edit(p.Remove(of=CUBE), p.Remove(of=the(color="green")))
    with pytest.raises(AmbiguousReference, match=r"^step 2 of 2: ") as ambiguous:
        edit(p.Remove(of=CUBE), p.Remove(of=the(shape="sphere")))
    assert ambiguous.value.candidates == (1, 2)  # of the scene before


def test_a_full_floor_is_told():
    tiny = SceneSchema(
        name="tiny",
        fields=tuple(
            replace(f, axes=tuple(replace(a, values=(-0.5, 0.0, 0.5)) for a in f.axes)) if f.axes else f
            for f in CLEVR.fields
        ),
    )
    scene = Scene(objects=(thing("large red metal cube", 0, 0, location=(0.0, 0.0, 0.5)),))
    with pytest.raises(CannotPlace, match="the floor has no free place for the new small red metal cube"):
        edit(
            p.Add(words=(to("shape", "cube"), to("size", "small"), to("color", "red"), to("material", "metal"))),
            scene=scene,
            schema=tiny,
        )


def painted(of, color):
    return p.Set(of=of, field="color", to=to("color", color))


def test_steps_said_together_mean_the_objects_before_the_first_of_them():
    colors = [item.color for item in SCENE.objects]
    red, blue = where(color="red"), where(color="blue")
    swapped = edit(p.Together(steps=(painted(red, "blue"), painted(blue, "red")))).scene
    assert [item.color for item in swapped.objects] == [
        {"red": "blue", "blue": "red"}.get(color, color) for color in colors
    ]
    one_after_the_other = edit(painted(red, "blue"), painted(blue, "red")).scene
    assert [item.color for item in one_after_the_other.objects] == [
        {"blue": "red"}.get(color, color) for color in colors
    ]


def test_words_said_together_are_those_before_the_first_step():
    like = [p.WordOf(of=of, field="color") for of in (CUBE, BALL)]
    steps = (p.Set(of=BALL, field="color", to=like[0]), p.Set(of=CUBE, field="color", to=like[1]))
    before = {index: SCENE.objects[index].color for index in (0, 1)}
    after = edit(p.Together(steps=steps)).scene
    assert (after.objects[0].color, after.objects[1].color) == (before[1], before[0])


def test_what_fits_nothing_before_the_steps_means_what_it_fits_then():
    violet = p.The(of=where(color="purple", shape="cube"))
    steps = (painted(CUBE, "purple"), p.Move(of=violet, place=p.Offset(direction="front", distance=0.5)))
    result = edit(p.Together(steps=steps))
    assert result.changed == (0,) and result.scene.objects[0].location != SCENE.objects[0].location


def test_indices_of_what_was_meant_follow_a_removal_and_what_is_gone_is_named():
    result = edit(p.Together(steps=(p.Remove(of=CUBE), painted(BALL, "green"))))
    assert result.removed == (0,) and result.scene.objects[0].color == "green"
    with pytest.raises(NoSuchObject, match="step 2 of 2"):
        edit(p.Together(steps=(p.Remove(of=CUBE), painted(CUBE, "green"))))


def turn_of(result, before, *steps):
    return Turn(
        text="", program=p.Edit(steps=steps), changed=result.changed, added=result.added, removed=result.removed,
        before=before, after=result.scene,
    )  # fmt: skip


def test_undo_takes_back_one_edit_after_another():
    remove, paint, undo = p.Remove(of=CUBE), painted(BALL, "green"), p.Undo()
    first = edit(remove)
    second = edit(paint, scene=first.scene)
    turns = [turn_of(first, SCENE, remove), turn_of(second, first.scene, paint)]
    back = edit(undo, scene=second.scene, dialogue=turns)
    assert back.scene.objects == first.scene.objects and back.changed == (0,) and not back.added
    turns.append(turn_of(back, second.scene, undo))
    again = edit(undo, scene=back.scene, dialogue=turns)
    assert again.scene.objects == SCENE.objects and len(again.added) == 1
    turns.append(turn_of(again, back.scene, undo))
    with pytest.raises(ProgramError, match="nothing was changed yet"):
        edit(undo, scene=again.scene, dialogue=turns)


def test_redo_brings_back_what_undo_took_back_until_something_else_is_changed():
    remove, paint, undo, redo = p.Remove(of=CUBE), painted(BALL, "green"), p.Undo(), p.Redo()
    turns, scene, scenes = [], SCENE, []
    for step in (remove, paint, undo, undo, redo, redo, undo):
        result = edit(step, scene=scene, dialogue=turns)
        turns.append(turn_of(result, scene, step))
        scene = result.scene
        scenes.append(scene.objects)
    assert scenes[2:] == [scenes[0], SCENE.objects, scenes[0], scenes[1], scenes[0]]
    other = edit(p.Remove(of=BALL), scene=scene, dialogue=turns)
    turns.append(turn_of(other, scene, p.Remove(of=BALL)))
    with pytest.raises(ProgramError, match="nothing was taken back"):
        edit(redo, scene=other.scene, dialogue=turns)


def test_objects_are_found_again_after_one_before_them_was_removed_and_put_back():
    paint, remove, undo = painted(BALL, "green"), p.Remove(of=CUBE), p.Undo()
    turns, scene = [], SCENE
    for step in (paint, remove, undo):
        result = edit(step, scene=scene, dialogue=turns)
        turns.append(turn_of(result, scene, step))
        scene = result.scene
    first = p.Earlier(role="changed", turn=0)
    assert edit(p.Remove(of=first), scene=scene, dialogue=turns).removed == turns[0].changed


def test_a_turn_is_about_the_vertical_of_the_scene_and_needs_an_upright_pose():
    camera_frame = Scene(objects=(), up_axis="-y")
    upright = SceneObject(pose=(0.1, 0.2, 0.0))
    assert turned(upright, 0.5, camera_frame).pose == pytest.approx((0.1, -0.3, 0.0))
    assert turned(upright, 0.5, Scene(objects=())).pose == pytest.approx((0.1, 0.2, 0.5))
    with pytest.raises(ProgramError, match="a tilted object"):
        turned(SceneObject(pose=(0.1, 0.2, 0.3)), 0.5, camera_frame)
    with pytest.raises(ProgramError, match="R_cam"):
        turned(SceneObject(pose=(0.0, 0.0, 0.0)).with_values(R_cam=[1]), 0.5, Scene(objects=()))


def test_a_new_object_is_as_large_as_most_of_its_kind():
    def chair(side, category="chair"):
        return SceneObject(category=category, dimensions=(side, side, side), location=(0.0, 0.0, 0.0))

    world = World(Scene(objects=(chair(1.0), chair(3.0), chair(9.0, "table"))), objaworld_schema())
    assert usual_dimensions(world, {"category": "chair"}).tolist() == [2.0] * 3
    assert usual_dimensions(world, {"category": "table"}).tolist() == [9.0] * 3


def test_two_in_a_pile_may_change_places_where_the_upper_is_named_first_or_last():
    top = replace(SCENE.objects[1], location=(*SCENE.objects[0].location[:2], 1.4 + 0.35))
    world = World(replace(SCENE, objects=(SCENE.objects[0], top, *SCENE.objects[2:])), CLEVR)
    assert carries(world, (0, 1)) and carries(world, (1, 0)) and not carries(world, (0, 2))


def test_a_resize_without_words_of_size_is_by_a_quarter():
    cup = SceneObject(category="cup", location=(0.0, 0.0, 1.0), dimensions=(0.1, 0.2, 0.1))
    table = Scene(objects=(cup,), frame="camera", up_axis="-y", units="metre")
    grown = edit(p.Resize(of=ALL, larger=True), scene=table, schema=objectron_schema()).scene.objects[0]
    assert grown.dimensions == pytest.approx((0.125, 0.25, 0.125))


def test_a_copy_without_a_place_stands_next_to_what_it_copies():
    anywhere, near = (edit(p.Copy(of=BIG_BALL, place=place)) for place in (None, p.NextTo(to=BIG_BALL)))
    assert anywhere.scene.objects == near.scene.objects


def test_objects_are_lined_up_from_below_as_a_pile():
    result = edit(p.Align(of=p.Either(first=CUBE, second=BALL), direction="above"))
    assert spot(result.scene, 1)[2] == pytest.approx(1.4 + 0.35) and result.changed == (1,)


def test_the_top_of_a_pile_moves_where_several_of_it_fit():
    top = replace(SCENE.objects[0], size="small", location=(*SCENE.objects[0].location[:2], 1.4 + 0.35))
    scene = replace(SCENE, objects=(*SCENE.objects, top))
    result = move(p.Offset(direction="front", distance=2.0), scene=scene)
    assert result.changed == (4,) and result.scene.objects[0] is scene.objects[0]


def test_objects_without_a_place_are_no_reason_to_refuse_a_removal():
    scene = replace(SCENE, objects=(*SCENE.objects, replace(SCENE.objects[0], location=None, shape="cylinder")))
    assert edit(p.Remove(of=BALL), scene=scene).removed == (1,)


def test_a_group_with_one_object_of_unknown_size_says_so():
    odd = replace(SCENE.objects[1], size="huge")
    scene = replace(SCENE, objects=(SCENE.objects[0], odd, *SCENE.objects[2:]))
    both = p.Either(first=CUBE, second=the(color="blue", size="huge"))
    said = edit(p.Move(of=both, place=p.Offset(direction="front", distance=0.3)), scene=scene).notes
    assert any("is not known; a radius of" in note for note in said)


@pytest.mark.parametrize("steps", [lambda *steps: steps, lambda *steps: (p.Together(steps=steps),)])
def test_candidates_and_numbers_of_a_later_step_are_those_of_the_scene_before(steps):
    cubes = [
        replace(SCENE.objects[0], color=color, location=(x, 0.0, 0.7)) for color, x in (("green", -2.0), ("cyan", 2.0))
    ]
    scene = Scene(objects=(SCENE.objects[1], *cubes))
    red = to("color", "red")
    with pytest.raises(AmbiguousReference) as found:
        edit(*steps(p.Remove(of=BALL), p.Set(of=CUBE, field="color", to=red)), scene=scene)
    assert found.value.candidates == (1, 2) and found.value.objects == tuple(cubes)
    result = edit(*steps(p.Remove(of=BALL), p.Set(of=p.Numbered(index=2), field="color", to=red)), scene=scene)
    assert [item.color for item in result.scene.objects] == ["green", "red"]
    with pytest.raises(NoSuchObject):
        edit(*steps(p.Remove(of=BALL), p.Set(of=p.Numbered(index=0), field="color", to=red)), scene=scene)
