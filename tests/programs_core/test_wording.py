"""Programs in English, and descriptions that tell objects apart."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_programs import ALL, Draw, at, random_scene, the, thing, to, where

from kyvo.programs import program as p
from kyvo.programs.descriptions import descriptions
from kyvo.programs.english import article, counted, joined, plural_of
from kyvo.programs.wording import objects_of, wording
from kyvo.scene.scene import Scene, SceneObject

CUBE, BALL = the(shape="cube", color="red"), the(shape="sphere", size="large")


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        (
            p.Count(of=p.Related(of=where(color="red", shape="cube"), relation="left", to=BALL)),
            "the number of red cubes left of the large sphere",
        ),
        (
            p.Count(of=where(shape="cube", material="metal", color="red", size="small")),
            "the number of small red metal cubes",
        ),
        (
            p.Count(of=where(p.Extreme(of=where(shape="cube"), by=p.Along(direction="left")), color="red")),
            "the number of leftmost cubes that are red",
        ),
        (
            p.WordOf(
                of=p.The(of=p.Extreme(of=where(shape="cube"), by=p.Along(direction="left"), rank=2)), field="color"
            ),
            "the color of the second leftmost cube",
        ),
        (
            p.WordOf(of=p.The(of=p.Extreme(of=ALL, by=p.Closeness(to=BALL))), field="color"),
            "the color of the object nearest to the large sphere",
        ),
        (p.Exists(of=where(mood="sad")), "whether there are objects whose mood is sad"),
        (
            p.Exists(of=p.Either(first=where(shape="cube"), second=where(color="blue"))),
            "whether there are cubes or blue objects",
        ),
        (p.Every(of=where(shape="cube"), among=where(color="red")), "whether all cubes are red"),
        (p.Every(of=where(shape="cube"), among=p.Hidden(of=ALL)), "whether all cubes are among objects partly hidden"),
        (p.Alike(of=where(shape="cube"), field="color"), "whether all cubes have the same color"),
        (
            p.SameWord(first=p.WordOf(of=CUBE, field="size"), second=p.WordOf(of=BALL, field="size")),
            "whether the size of the red cube is the same as the size of the large sphere",
        ),
        (
            p.Compare(comparison="greater", first=p.Count(of=where(shape="cube")), second=p.Number(value=2)),
            "whether the number of cubes is greater than 2",
        ),
        (p.BiggerThan(by=p.Bigness(), first=CUBE, second=BALL), "whether the red cube is larger than the large sphere"),
        (p.Distance(first=CUBE, second=BALL), "the distance between the red cube and the large sphere"),
        (p.WhereIs(of=CUBE), "where the red cube is"),
        (p.WordsOf(of=CUBE, fields=("size", "color")), "the size and color of the red cube"),
        (p.Which(of=p.InRegion(of=ALL, region="front left")), "all objects in the front left corner"),
        (p.Count(of=p.Except(of=ALL, without=CUBE)), "the number of objects other than the red cube"),
        (
            p.Count(of=p.WhereSame(of=ALL, field="color", like=CUBE)),
            "the number of objects with the same color as the red cube",
        ),
    ],
)
def test_a_question_reads_so(asks, words):
    assert wording(p.Query(asks=asks)) == words


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (
            [
                p.Set(of=the(shape="cube", size="small"), field="color", to=to("color", "blue")),
                p.Move(of=p.Earlier(), place=p.Beside(direction="behind", to=the(shape="sphere"))),
            ],
            "paint the small cube blue, then move it behind the sphere",
        ),
        ([p.Remove(of=where(shape="cube"))], "remove all cubes"),
        ([p.Remove(of=ALL)], "remove everything"),
        ([p.Remove(of=the(2, shape="cube"))], "remove the two cubes"),
        (
            [p.Add(words=(to("shape", "cube"), to("color", "red")), place=p.OnTop(of=BALL))],
            "add a red cube on top of the large sphere",
        ),
        (
            [
                p.Add(words=(to("shape", "cube"),), count=3),
                p.Set(of=p.Earlier(role="added"), field="size", to=to("size", "small")),
            ],
            "add three cubes, then make them small",
        ),
        ([p.Move(of=CUBE, place=p.Offset(direction="left", distance=1.0))], "move the red cube 1 unit to the left"),
        (
            [p.Move(of=CUBE, place=p.Beside(direction="left", to=BALL, distance=1.5))],
            "move the red cube 1.5 units left of the large sphere",
        ),
        (
            [p.Move(of=CUBE, place=p.Toward(to=BALL, distance=-1.0))],
            "move the red cube 1 unit away from the large sphere",
        ),
        ([p.Move(of=CUBE, place=p.At(region="back right"))], "move the red cube into the back right corner"),
        ([p.Move(of=CUBE, place=p.Before())], "move the red cube back to where it stood before"),
        ([p.Swap(first=CUBE, second=BALL)], "swap the red cube and the large sphere"),
        ([p.Swap(first=CUBE, second=BALL, field="color")], "swap the colors of the red cube and the large sphere"),
        ([p.Copy(of=CUBE, place=p.NextTo(to=BALL))], "copy the red cube next to the large sphere"),
        ([p.Resize(of=CUBE, larger=True)], "make the red cube larger"),
        ([p.Rotate(of=CUBE, degrees=-90.0)], "turn the red cube by -90 degrees"),
        ([p.Align(of=where(shape="cube"), direction="left")], "line up all cubes from left to right"),
        (
            [p.Replace(of=CUBE, words=(to("shape", "sphere"), to("size", "small")))],
            "replace the red cube with a small sphere",
        ),
        (
            [p.Set(of=CUBE, field="color", to=p.WordOf(of=BALL, field="color"))],
            "give the red cube the color of the large sphere",
        ),
        (
            [
                p.Together(steps=(p.Remove(of=CUBE), p.Rotate(of=BALL, degrees=90.0))),
                p.Resize(of=p.Earlier(), larger=True),
            ],
            "remove the red cube and turn the large sphere by 90 degrees, then make it larger",
        ),
        ([p.Undo()], "take back the last change"),
    ],
)
def test_an_edit_reads_so(steps, words):
    assert wording(p.Edit(steps=tuple(steps))) == words


@given(st.integers(0, 10**6))
def test_every_program_reads_in_words_without_gaps(seed):
    words = wording(Draw(seed).program(nodes=20))
    assert words and not re.search(r"  |None|<|\bthe the\b|\ball the\b", words)


def test_objects_are_told_apart_by_as_few_words_as_do():
    scene = Scene(
        objects=(
            thing("large red metal cube", -2, 0),
            thing("large red metal cube", 2, 0),
            thing("large red metal cube", 0, 0),
            thing("small red metal cube", 0, 2),
            thing("small blue rubber sphere", 0, -2),
        )
    )
    assert descriptions(scene, range(5)) == [
        "the large red metal cube at the left",
        "the large red metal cube at the right",
        "the large red metal cube that is second from the left",
        "the small cube",
        "the sphere",
    ]
    bare = Scene(objects=(SceneObject(shape="cube"), SceneObject(shape="cube"), SceneObject()))
    assert descriptions(bare, range(3)) == [
        "the cube with number 1",
        "the cube with number 2",
        "the object with number 3",
    ]
    tower = replace(scene, objects=(scene.objects[0], replace(scene.objects[0], location=at(-2, 0, 2.1))))
    assert descriptions(tower, (0, 1)) == [
        "the large red metal cube at the bottom",
        "the large red metal cube at the top",
    ]


@given(st.integers(0, 10**6))
def test_no_two_objects_have_the_same_description(seed):
    scene = random_scene(seed)
    said = descriptions(scene, range(len(scene)))
    assert len(set(said)) == len(said)


def test_words_inflect():
    assert [plural_of(noun) for noun in ("cube", "bench", "box", "person", "battery", "cereal_box")] == [
        "cubes", "benches", "boxes", "people", "batteries", "cereal_boxes",
    ]  # fmt: skip
    assert counted(1, "red cube") == "1 red cube" and counted(2, "red box") == "2 red boxes"
    assert article("orange cube") == "an" and joined(["a", "b", "c"]) == "a, b and c"
    assert objects_of(p.The(of=where(shape="sphere"))) == "the sphere"
