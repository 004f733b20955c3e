"""Questions on scenes: each construct of docs/programs.md."""

import pytest
from random_programs import ALL, CLEVR, at, the, thing, where

from kyvo.data.clevr.raytracer import visible_fraction
from kyvo.data.clevr.sampling import sample_scenes, scene_batch
from kyvo.programs import program as p
from kyvo.programs.errors import AmbiguousReference, NoSuchObject, ProgramError, UnknownWord
from kyvo.programs.execute import answer
from kyvo.programs.parsing import Turn
from kyvo.scene.builtin_schemas import objectron_schema
from kyvo.scene.fields import Field
from kyvo.scene.relations import CLEVR_DIRECTIONS
from kyvo.scene.scene import Camera, Scene, SceneObject
from kyvo.scene.schema import SceneSchema, clevr_camera
from kyvo.scene.visibility import visibility

SCENE = Scene(
    objects=(
        thing("large red metal cube", -1.5, 0.0),
        thing("small blue rubber sphere", 0.0, 0.0),
        thing("large blue rubber sphere", 1.8, 0.3),
        thing("small red metal cylinder", 0.2, -1.6),
        thing("small green rubber cube", -1.5, 0.0, location=at(-1.5, 0.0, 1.75)),
    )
)


def more(**shapes):
    cases = [p.Case(word=word, amount=p.Count(of=where(shape=shape))) for word, shape in shapes.items()]
    return p.Choose(cases=tuple(cases))


def ask(asks, scene=SCENE, schema=CLEVR, dialogue=()):
    return answer(p.Query(asks=asks), scene, schema, dialogue)


def found(selector, scene=SCENE, dialogue=()):
    return ask(p.Which(of=selector), scene, dialogue=dialogue).value


BIG_BALL, CUBE, BALL, PIPE = (
    the(size="large", shape="sphere"),
    the(color="red", shape="cube"),
    the(size="small", shape="sphere"),
    the(shape="cylinder"),
)


@pytest.mark.parametrize(
    ("selector", "objects"),
    [
        (ALL, (0, 1, 2, 3, 4)),
        (where(color="blue"), (1, 2)),
        (where(color="yellow"), ()),
        (p.WhereSame(of=ALL, field="color", like=CUBE), (3,)),
        (p.Shared(of=ALL, field="shape"), (0, 1, 2, 4)),
        (p.Shared(of=p.Shared(of=ALL, field="size"), field="shape"), ()),  # both with the same other object
        (p.Both(first=where(size="small"), second=where(material="metal")), (3,)),
        (p.Either(first=where(shape="cube"), second=where(color="blue")), (0, 1, 2, 4)),
        (p.Except(of=ALL, without=where(material="rubber")), (0, 3)),
        (p.Related(of=ALL, relation="left", to=BALL), (0, 4)),
        (p.Related(of=ALL, relation="left", to=where(shape="sphere")), (0, 4)),  # of each of them
        (p.Related(of=ALL, relation="front", to=BALL), (3,)),
        (p.Related(of=ALL, relation="behind", to=BALL), (2,)),
        (p.Related(of=ALL, relation="above", to=CUBE), (4,)),
        (p.Related(of=ALL, relation="below", to=the(color="green")), (0,)),
        (p.Related(of=ALL, relation="touching", to=CUBE), (4,)),
        (p.Related(of=where(size="large"), relation="near", to=BALL), (0,)),  # a gap below the ball's own width
        (p.Between(of=ALL, first=CUBE, second=BIG_BALL), (1,)),
        (p.Extreme(of=ALL, by=p.Along(direction="right")), (2,)),
        (p.Extreme(of=ALL, by=p.Along(direction="right"), rank=2), (3,)),
        (p.Extreme(of=ALL, by=p.Along(direction="above")), (4,)),
        (p.Extreme(of=ALL, by=p.Along(direction="right"), rank=9), ()),
        (p.Extreme(of=ALL, by=p.Closeness(to=BALL), rank=2), (3,)),  # the ball itself is not counted
        (p.Extreme(of=ALL, by=p.Farness(to=BALL)), (4,)),
        (p.Extreme(of=ALL, by=p.Centrality()), (1,)),
        (p.Extreme(of=ALL, by=p.Bigness()), (0, 2)),
        (p.The(of=p.Extreme(of=ALL, by=p.Bigness())), (0,)),  # the nearer one
        (p.The(of=p.Extreme(of=ALL, by=p.Bigness(), rank=2)), (2,)),
        (p.The(of=p.Extreme(of=where(shape="sphere"), by=p.Smallness())), (1,)),
        (p.The(of=p.Extreme(of=ALL, by=p.Along(direction="right")), count=2), (2, 3)),
        (the(2, shape="sphere"), (1, 2)),
        (p.InRegion(of=ALL, region="left"), (0, 4)),
        (p.InRegion(of=ALL, region="middle"), (1,)),
        (p.InRegion(of=ALL, region="front"), (3,)),
        (p.InRegion(of=ALL, region="front middle"), (3,)),
        (p.InRegion(of=ALL, region="left middle"), (0, 4)),
        (p.InRegion(of=ALL, region="back left"), ()),
        (p.Numbered(index=3), (3,)),
    ],
)
def test_a_selector_means_these_objects(selector, objects):
    assert found(selector) == objects


@pytest.mark.parametrize(
    ("asks", "value", "text"),
    [
        (p.Count(of=where(color="red")), 2, "2"),
        (p.Count(of=where(color="yellow")), 0, "0"),
        (p.CountWords(of=ALL, field="color"), 3, "3"),
        (p.Arithmetic(operation="plus", first=p.Number(value=2), second=p.Count(of=ALL)), 7, "7"),
        (p.Arithmetic(operation="minus", first=p.Number(value=2), second=p.Count(of=ALL)), -3, "-3"),
        (p.Arithmetic(operation="difference", first=p.Number(value=2), second=p.Count(of=ALL)), 3, "3"),
        (p.Arithmetic(operation="times", first=p.Number(value=2), second=p.Count(of=ALL)), 10, "10"),
        (p.Arithmetic(operation="divided by", first=p.Count(of=ALL), second=p.Number(value=2)), 2, "2"),
        (p.Exists(of=where(color="yellow")), False, "no"),
        (p.Every(of=where(shape="sphere"), among=where(color="blue")), True, "yes"),
        (p.Alike(of=where(shape="cube"), field="color"), False, "no"),
        (p.Compare(comparison="at most", first=p.Count(of=ALL), second=p.Number(value=5)), True, "yes"),
        (
            p.Compare(
                comparison="greater", first=p.Count(of=where(shape="cube")), second=p.Count(of=where(shape="sphere"))
            ),
            False,
            "no",
        ),
        (p.SameWord(first=p.WordOf(of=CUBE, field="color"), second=p.WordOf(of=PIPE, field="color")), True, "yes"),
        (
            p.SameWord(first=p.WordOf(of=CUBE, field="color"), second=p.Literally(field="color", value="blue")),
            False,
            "no",
        ),
        (p.BiggerThan(by=p.Bigness(), first=CUBE, second=BALL), True, "yes"),
        (p.BiggerThan(by=p.Along(direction="left"), first=BALL, second=CUBE), False, "no"),
        (p.All(first=p.Exists(of=CUBE), second=p.Not(of=p.Exists(of=where(color="yellow")))), True, "yes"),
        (p.Any(first=p.Exists(of=where(color="yellow")), second=p.Exists(of=where(color="cyan"))), False, "no"),
        (p.WordOf(of=where(shape="sphere"), field="color"), "blue", "blue"),  # several, and all agree
        (p.Commonest(of=ALL, field="material"), "rubber", "rubber"),
        (p.Commonest(of=ALL, field="color", least=True), "green", "green"),
        (p.Which(of=where(color="blue")), (1, 2), "the small sphere and the large sphere"),
        (p.Which(of=where(color="yellow")), (), "none"),
        (p.WordsOf(of=CUBE, fields=("size", "color")), ("large", "red"), "large and red"),
        (p.WordsOf(of=ALL, fields=("color",)), ("red", "blue", "green"), "red, blue and green"),
        (p.WhereIs(of=BALL), (0.0, 0.0, 0.35), "in the middle, at (0, 0, 0.35)"),
        (more(cubes="cube", pipes="cylinder"), "cubes", "cubes"),
        (more(cubes="cube", balls="sphere"), "neither", "neither: cubes and balls tie with 2 each"),
    ],
)
def test_a_question_has_this_answer(asks, value, text):
    got = ask(asks)
    assert (got.value, got.text) == (value, text)


def test_a_distance_is_from_centre_to_centre():
    got = ask(p.Distance(first=BALL, second=BIG_BALL))
    assert got.value == pytest.approx((1.8**2 + 0.3**2 + 0.35**2) ** 0.5, abs=1e-5)
    assert got.text == "1.86 units"


def test_an_answer_rests_on_the_objects_that_decide_it_and_its_trace_names_them():
    got = ask(p.Count(of=p.Related(of=where(color="red"), relation="left", to=BIG_BALL)))
    assert got.objects == (0, 3)
    assert [str(step) for step in got.trace][-1] == "red objects left of the large sphere: 0 and 3"


@pytest.mark.parametrize(
    ("asks", "error", "message"),
    [
        (
            p.WordOf(of=the(color="red", shape="sphere"), field="size"),
            NoSuchObject,
            "no red spheres; there is 1 red cube, 1 red cylinder and 2 blue spheres.",
        ),
        (
            p.Count(of=p.Related(of=ALL, relation="left", to=the(color="yellow"))),
            NoSuchObject,
            "there are no yellow objects; there is 1 large red metal cube",
        ),
        (
            p.WordOf(of=the(shape="sphere"), field="size"),
            AmbiguousReference,
            "2 objects are spheres and one is meant: 1. the small sphere; 2. the large sphere.",
        ),
        (p.WordOf(of=the(3, shape="sphere"), field="size"), NoSuchObject, "there are not three spheres but 2"),
        (
            p.WordOf(of=where(shape="sphere"), field="size"),
            AmbiguousReference,
            "differ in size: the small sphere is small; the large sphere is large.",
        ),
        (p.Every(of=where(color="yellow"), among=ALL), NoSuchObject, "there are no yellow objects"),
        (
            p.Count(of=where(color="rad")),
            UnknownWord,
            "'rad' is no color here; did you mean red\\? known are gray, red",
        ),
        (
            p.Count(of=where(colour="red")),
            UnknownWord,
            "objects of the schema clevr have no 'colour'; did you mean color\\?",
        ),
        (p.Count(of=where(location="left")), UnknownWord, "'location' holds numbers, not words"),
        (
            p.Commonest(of=where(size="small"), field="color"),
            AmbiguousReference,
            "blue, red and green are equally frequent among small objects: 1 each",
        ),
        (
            p.Arithmetic(operation="divided by", first=p.Number(value=2), second=p.Number(value=0)),
            ProgramError,
            "2 divided by 0",
        ),
        (
            p.SameWord(first=p.WordOf(of=CUBE, field="color"), second=p.WordOf(of=CUBE, field="size")),
            ProgramError,
            "a color and a size are compared",
        ),
        (
            p.Distance(first=CUBE, second=p.Numbered(index=8)),
            NoSuchObject,
            "there is no object number 9; the scene has 5",
        ),
        (p.Count(of=p.Between(of=ALL, first=CUBE, second=CUBE)), ProgramError, "are the same object; two are needed"),
        (p.Count(of=p.Earlier()), NoSuchObject, "no object is known that was mentioned then"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(asks, error, message):
    with pytest.raises(error, match=message):
        ask(asks)


def test_an_ambiguous_reference_has_its_candidates_and_an_unknown_word_its_neighbours():
    with pytest.raises(AmbiguousReference) as ambiguous:
        ask(p.WordOf(of=the(shape="sphere"), field="size"))
    assert ambiguous.value.candidates == (1, 2)
    with pytest.raises(UnknownWord) as unknown:
        ask(p.Count(of=where(shape="spere")))
    assert (unknown.value.word, unknown.value.near[0]) == ("spere", "sphere")


def test_sizes_that_tie_are_told_apart_by_nearness_and_other_ties_are_ambiguous():
    twins = Scene(objects=(thing("large red metal cube", -1, 1), thing("large red metal cube", 1, -1)))
    assert found(p.The(of=p.Extreme(of=ALL, by=p.Bigness())), twins) == (1,)
    assert found(p.The(of=p.Extreme(of=ALL, by=p.Smallness())), twins) == (0,)
    tower = Scene(objects=(SCENE.objects[0], SCENE.objects[4]))
    with pytest.raises(AmbiguousReference, match=r"2 objects are the leftmost object and one is meant"):
        found(p.The(of=p.Extreme(of=ALL, by=p.Along(direction="left"))), tower)


def test_it_and_the_one_moved_before_follow_removals():
    moved = Turn(text="", program=p.Edit(steps=(p.Remove(of=CUBE),)), changed=(2,), mentioned=(2,))
    removed = Turn(text="", program=moved.program, removed=(0,))
    now = Scene(objects=SCENE.objects[1:])
    assert found(p.Earlier(role="changed"), now, [moved, removed]) == (1,)
    gone = Turn(text="", program=moved.program, removed=(1,))
    with pytest.raises(NoSuchObject, match="no object was changed earlier, or it is gone"):
        ask(p.WordOf(of=p.Earlier(role="changed"), field="color"), now, dialogue=[moved, removed, gone])
    with pytest.raises(NoSuchObject, match="what was removed is no longer in the scene"):
        found(p.Earlier(role="removed"), now, [moved, removed])


def test_a_schema_of_ones_own_is_asked_by_its_own_fields_and_words():
    kinds = Field(name="kind", marker="[KIND]", words=("dog", "cat"))
    moods = Field(name="mood", marker="[MOOD]", words=("happy", "sad"))
    pets = SceneSchema(name="pets", fields=(kinds, moods))
    scene = Scene(objects=tuple(SceneObject(extra=dict(kind=a, mood=b)) for a, b in (("dog", "sad"), ("cat", "happy"))))
    assert ask(p.WordOf(of=the(kind="dog"), field="mood"), scene, pets).text == "sad"
    assert ask(p.Which(of=where(mood="happy")), scene, pets).text == "the cat"
    with pytest.raises(NoSuchObject, match="there are no dogs whose mood is happy; there is 1 dog"):
        ask(p.WordOf(of=the(kind="dog", mood="happy"), field="mood"), scene, pets)
    with pytest.raises(UnknownWord, match="'bird' is no kind here; known are dog, cat"):
        ask(p.Count(of=where(kind="bird")), scene, pets)
    with pytest.raises(ProgramError, match=r"objects\[0\] has no location"):
        ask(p.Count(of=p.Related(of=ALL, relation="left", to=the(kind="dog"))), scene, pets)


def test_a_word_that_the_scene_has_and_the_schema_has_not_can_be_asked_for():
    scene = Scene(objects=(*SCENE.objects, thing("small teal rubber cube", 2, 2)))
    assert ask(p.Count(of=where(color="teal")), scene).value == 1


def test_a_field_that_no_object_of_the_scene_has_is_named():
    bare = Scene(objects=(SceneObject(shape="cube", location=(0.0, 0.0, 0.7)),))
    with pytest.raises(ProgramError, match="no object of this scene has a color"):
        ask(p.Count(of=where(color="red")), bare)


def test_in_a_cameras_frame_directions_are_its_axes_and_sizes_are_dimensions():
    def cup(x, z, side):
        return SceneObject(category="cup", location=(x, 0.0, z), dimensions=(side, side, side))

    scene = Scene(
        objects=(cup(-0.1, 1.0, 0.1), cup(0.1, 2.0, 0.2)), schema="objectron", frame="camera", up_axis="-y", units="m"
    )
    schema = objectron_schema()
    assert ask(p.Which(of=p.Related(of=ALL, relation="left", to=p.Numbered(index=1))), scene, schema).value == (0,)
    assert ask(p.Which(of=p.Extreme(of=ALL, by=p.Along(direction="behind"))), scene, schema).value == (1,)
    assert ask(p.Which(of=p.Extreme(of=ALL, by=p.Bigness())), scene, schema).value == (1,)
    assert ask(p.Distance(first=p.Numbered(index=0), second=p.Numbered(index=1)), scene, schema).text == "1.02 m"
    with pytest.raises(ProgramError, match="the scene has no camera"):
        ask(p.Count(of=p.Hidden(of=ALL)), scene, schema)


def test_directions_are_those_of_a_camera_that_is_not_clevrs():
    behind = Camera.look_at(location=(-7.48113, 6.50764, 5.34367), focal=500, width=480, height=320)
    scene = Scene(objects=SCENE.objects, camera=behind)
    assert found(p.Related(of=ALL, relation="right", to=BALL), scene) == found(
        p.Related(of=ALL, relation="left", to=BALL)
    )
    jittered = Scene(objects=SCENE.objects, camera=clevr_camera(480, 320, (7.9, -6.1, 5.0)))
    assert found(p.Related(of=ALL, relation="right", to=BALL), jittered) == found(
        p.Related(of=ALL, relation="right", to=BALL)
    )
    odd = Scene(objects=SCENE.objects, extra={"directions": {name: [1.0, 0.0, 0.0] for name in CLEVR_DIRECTIONS}})
    with pytest.raises(ProgramError, match="directions do not hold together"):
        found(p.Related(of=ALL, relation="right", to=BALL), odd)


def test_what_is_hidden_is_told_by_projection():
    scene = Scene(
        objects=(
            thing("large red metal cube", 0, 0),
            thing("small blue rubber sphere", 0, 1.3),
            thing("small gray metal cube", 2, -1),
        )
    )
    assert found(p.Hidden(of=ALL), scene) == (1,)


def test_visible_shares_are_those_of_the_ray_tracer():
    scenes = sample_scenes(range(4), seed=3, width=480, height=320)
    traced = visible_fraction(scene_batch(scenes), width=240, height=160)
    for row, scene in enumerate(scenes):
        for index, seen in enumerate(visibility(scene, CLEVR)):
            shown = seen.covers * (1 - seen.hidden)
            # the tracer cuts the edges of cubes
            assert shown == pytest.approx(
                float(traced[row, index]), rel=0.15 if scene.objects[index].shape == "cube" else 0.05, abs=0.0005
            )


def test_of_what_is_there_six_kinds_are_named_and_the_rest_are_others():
    colors = ("gray", "red", "blue", "green", "brown", "purple", "cyan")
    scene = Scene(
        objects=tuple(thing(f"small {color} rubber cube", index - 3, 0) for index, color in enumerate(colors))
    )
    with pytest.raises(NoSuchObject, match=r"1 small purple rubber cube and others"):
        answer(p.Query(asks=p.WordOf(of=the(color="yellow"), field="size")), scene, CLEVR)
    with pytest.raises(NoSuchObject, match=r"1 small brown rubber cube and 1 small purple rubber cube"):
        answer(p.Query(asks=p.WordOf(of=the(color="yellow"), field="size")), Scene(objects=scene.objects[:6]), CLEVR)


def test_an_object_is_not_larger_than_itself():
    assert found(p.MoreThan(of=ALL, by=p.Bigness(), than=CUBE)) == ()


def test_a_number_beyond_the_scene_is_no_object():
    with pytest.raises(NoSuchObject, match="there is no object number 6; the scene has 5"):
        found(p.Numbered(index=5))


def test_too_few_are_told_with_their_number():
    with pytest.raises(NoSuchObject, match="there are not two cylinders but 1;"):
        found(the(2, shape="cylinder"))
