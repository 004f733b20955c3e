"""Places of docs/programs.md: where moved, copied and new objects go, and what has no room."""

from dataclasses import replace

import pytest
from edited_scene import BALL, BIG_BALL, CUBE, PIPE, SCENE, edit, gap, move, spot
from random_programs import ALL, thing, where

from kyvo.programs import program as p
from kyvo.programs.errors import AlreadySo, CannotPlace


@pytest.mark.parametrize(
    ("direction", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("front", 1, -1), ("behind", 1, 1)]
)
def test_beside_is_the_nearest_place_in_that_direction_with_a_gap(direction, axis, sign):
    result = move(p.Beside(direction=direction, to=BALL), of=PIPE)
    away = spot(result.scene, 3) - spot(SCENE, 1)
    assert away[1 - axis] == pytest.approx(0, abs=1e-5)
    assert sign * away[axis] == pytest.approx(0.35 + 0.35 + 0.07, abs=0.02)  # radii, and a fifth of its own
    assert result.scene.objects[3].location[2] == 0.35
    assert result.objects == (1, 3)


def test_a_distance_is_kept_exactly_or_refused():
    result = move(p.Beside(direction="left", to=BALL, distance=1.5))
    assert spot(result.scene, 0) == pytest.approx([-1.0, 0.0, 0.7], abs=1e-5)
    with pytest.raises(
        CannotPlace,
        match=r"0.5 units left of the small sphere: the small sphere stands there; the nearest free place is \(",
    ) as refused:
        move(p.Beside(direction="left", to=BALL, distance=0.5))
    assert move(p.Point(**dict(zip("xyz", refused.value.nearest, strict=True)))).changed == (0,)


@pytest.mark.parametrize(
    ("place", "spot_of_cube"),
    [
        (p.Offset(direction="behind", distance=1.0), (-2.2, 1.0, 0.7)),
        (p.Offset(direction="behind"), (-2.2, 1.4, 0.7)),  # its own width
        (p.Toward(to=BALL, distance=0.25), (-1.95, 0.0, 0.7)),
        (p.Toward(to=BALL, distance=-0.25), (-2.45, 0.0, 0.7)),
        (p.At(region="front left"), (-2.3, -2.3, 0.7)),
        (p.At(region="back"), (-2.2, 2.3, 0.7)),
        (p.At(region="back middle"), (0.0, 2.3, 0.7)),
        (p.OnTop(of=BIG_BALL), (2.0, 1.0, 2.1)),
        (p.Beside(direction="above", to=BIG_BALL), (2.0, 1.0, 2.1)),
    ],
)
def test_a_place_is_where_it_says(place, spot_of_cube):
    wide = replace(
        SCENE,
        objects=(
            *SCENE.objects,
            thing("large gray metal cylinder", 0, 0, location=(4.5, 4.5, 0.7)),
            thing("large gray metal cylinder", 0, 0, location=(-4.5, -4.5, 0.7)),
        ),
    )
    assert spot(move(place, scene=wide).scene, 0) == pytest.approx(spot_of_cube, abs=1e-4)


def test_next_to_and_towards_end_beside_the_object_on_the_near_side():
    scene = replace(SCENE, objects=(SCENE.objects[0], SCENE.objects[2]))
    for place in (p.NextTo(to=BIG_BALL), p.Toward(to=BIG_BALL)):
        after = move(place, scene=scene).scene
        assert 0.1 < gap(after, 0, 1) < 0.3 and spot(after, 0)[0] < 2.0
    with pytest.raises(AlreadySo, match="stands there already"):
        move(p.NextTo(to=BIG_BALL), scene=after)


def test_midway_is_between_and_slides_to_where_it_is_free():
    after = move(p.Midway(first=CUBE, second=BIG_BALL), of=PIPE).scene
    assert spot(after, 3) == pytest.approx([-0.1, 0.5, 0.35], abs=1e-4)
    with pytest.raises(CannotPlace, match="can not go between the small sphere and the cylinder"):
        move(
            p.Midway(first=BALL, second=PIPE),
            scene=replace(
                SCENE, objects=(SCENE.objects[0], thing("small blue rubber sphere", 0.2, -0.7), *SCENE.objects[2:])
            ),
        )


def test_an_object_goes_on_the_whole_pile_and_comes_down_from_it():
    first = move(p.OnTop(of=CUBE), of=PIPE).scene
    assert first.objects[3].location == (*SCENE.objects[0].location[:2], 1.75)
    second = move(p.OnTop(of=CUBE), of=BALL, scene=first).scene
    assert second.objects[1].location[2] == pytest.approx(2.45)
    down = move(p.Beside(direction="front", to=BIG_BALL), of=PIPE, scene=first).scene
    assert down.objects[3].location[2] == pytest.approx(0.35)
    aside = move(p.Offset(direction="right", distance=0.2), of=PIPE, scene=first).scene
    assert aside.objects[3].location[2] == 1.75  # still on it
    tower = edit(p.Move(of=where(p.Except(of=ALL, without=CUBE), size="small"), place=p.OnTop(of=CUBE))).scene
    assert sorted(item.location[2] for item in tower.objects) == pytest.approx([0.7, 0.7, 1.75, 2.45])


def test_several_objects_move_as_they_stand():
    after = move(p.Offset(direction="behind", distance=1.0), of=where(shape="sphere")).scene
    for index in (1, 2):
        assert spot(after, index) - spot(SCENE, index) == pytest.approx([0, 1, 0], abs=1e-5)
    beside = move(
        p.Beside(direction="left", to=CUBE),
        of=where(shape="sphere"),
        scene=replace(
            SCENE,
            objects=(
                thing("large red metal cube", 2, 0),
                *SCENE.objects[1:2],
                thing("large blue rubber sphere", -0.5, 1.5),
                SCENE.objects[3],
            ),
        ),
    ).scene
    assert spot(beside, 2) - spot(beside, 1) == pytest.approx([-1.0, 1.5, 0.35], abs=1e-4)
    assert max(spot(beside, 1)[0], spot(beside, 2)[0]) < 2


def test_lines_are_kept_along_a_direction():
    after = move(p.InLine(to=PIPE, direction="left")).scene
    assert spot(after, 0) == pytest.approx([-2.2, -1.6, 0.7], abs=1e-4)
    row = edit(p.Align(of=ALL, direction="left")).scene
    assert [spot(row, index)[1] for index in range(4)] == pytest.approx([0, 0, 0, 0], abs=1e-3)
    assert all(gap(row, a, b) > -1e-6 for a in range(4) for b in range(a))
    column = edit(p.Align(of=where(color="blue"), direction="front", to=CUBE)).scene
    assert [spot(column, index)[0] for index in (1, 2)] == pytest.approx([-2.2, -2.2], abs=1e-3)


def test_two_objects_change_places_on_the_floor_and_in_a_pile():
    after = edit(p.Swap(first=CUBE, second=PIPE)).scene
    assert spot(after, 0) == pytest.approx([0.2, -1.6, 0.7], abs=1e-5)
    assert spot(after, 3) == pytest.approx([-2.2, 0.0, 0.35], abs=1e-5)
    pile = move(p.OnTop(of=CUBE), of=PIPE).scene
    turned = edit(p.Swap(first=CUBE, second=PIPE), scene=pile).scene
    assert (turned.objects[3].location[2], turned.objects[0].location[2]) == pytest.approx((0.35, 1.4))
    tight = replace(SCENE, objects=(SCENE.objects[0], thing("small blue rubber sphere", 0.9, -1.6), *SCENE.objects[2:]))
    with pytest.raises(CannotPlace, match="the cube can not go to the other's place: the small sphere stands there"):
        edit(p.Swap(first=CUBE, second=PIPE), scene=tight)
