"""Reading and pairing: every form is read, every bad item is an error or is listed."""

import json

import pytest

from kyvo.errors import SceneError
from kyvo.evaluation.inputs import pair, read_scenes
from kyvo.evaluation.scenes import evaluate_released, evaluate_scenes
from kyvo.scene.clevr import save_clevr
from kyvo.scene.files import save_scene, scene_to_json
from kyvo.scene.scene import Scene, SceneObject

FIELDS = ("shape", "location")


def cube(x=0.0, **other):
    values = {"shape": "cube", "size": "large", "color": "red", "material": "metal", "location": (x, 0.0, 0.7)}
    return SceneObject(**values | other)


def world(*objects, **values):
    return Scene(objects=objects, **values)


@pytest.fixture
def truth(tmp_path):
    """CLEVR's collected file of the pictures a, b and c."""
    path = tmp_path / "truth.json"
    save_clevr([world(cube(index), image=f"{name}.png") for index, name in enumerate("abc")], path)
    return path


def folder(path, **scenes):
    path.mkdir()
    for name, scene in scenes.items():
        save_scene(scene, path / f"{name}.json")
    return path


def lines(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_all_forms_hold_the_same_scenes(tmp_path, truth):
    scenes = {name: world(cube(index)) for index, name in enumerate("abc")}
    sources = [
        folder(tmp_path / "folder", **scenes),
        lines(tmp_path / "nested.jsonl", *({"key": f"{k}.png", "scene": scene_to_json(s)} for k, s in scenes.items())),
        lines(tmp_path / "flat.jsonl", *({**scene_to_json(s), "image": f"{k}.png"} for k, s in scenes.items())),
        truth,
    ]
    for path in sources:
        found = read_scenes(path)
        assert {key: scene.objects for key, scene in found.items.items()} == {k: s.objects for k, s in scenes.items()}
        assert found.faults == {} and found.describe()["items"] == 3


def test_a_set_is_read_by_its_names(tmp_path):
    from kyvo.data.dataset import open_set, write_set
    from kyvo.data.generators import ClevrSet

    write_set(tmp_path / "set", ClevrSet(count=2, seed=0, width=24, height=16, samples=1, batch=2))
    found = read_scenes(tmp_path / "set")
    rows = open_set(tmp_path / "set")
    assert [len(scene) for scene in found.items.values()] == [
        len(json.loads(cell)["objects"]) for cell in rows["scene"]
    ]
    assert evaluate_scenes(found, found).figure("optimal jaccard").value == 1


def test_missing_unreadable_and_unknown_predictions_are_listed(tmp_path, truth):
    path = folder(tmp_path / "ours", a=world(cube(0)), d=world(cube(0)))
    (path / "b.json").write_text(json.dumps(scene_to_json(world(cube(1)))).replace("1.0", "NaN"))
    pairs = pair(read_scenes(path), read_scenes(truth), fields=FIELDS)
    assert pairs.keys == ("a", "b", "c")
    assert [len(scene) for scene in pairs.predictions] == [1, 0, 0]
    reasons = {row["key"]: row["reason"] for row in pairs.excluded}
    assert "counts as an empty scene" in reasons["b"] and "is not finite" in reasons["b"]
    assert reasons["c"] == "counts as an empty scene: there is no prediction"
    assert reasons["d"] == "the truth has no such key"


def test_a_truth_that_lacks_a_field_or_cannot_be_read_is_left_out(tmp_path):
    path = folder(tmp_path / "truth", a=world(cube(0)), b=world(cube(0), SceneObject(shape="cube")))
    (path / "c.json").write_text("{")
    pairs = pair(read_scenes(path), read_scenes(path), fields=FIELDS)
    assert pairs.keys == ("a",)
    reasons = {row["key"]: row["reason"] for row in pairs.excluded}
    assert reasons["b"] == "the truth lacks objects[1].location"
    assert "not a JSON file" in reasons["c"]


def test_a_line_that_is_no_json_is_listed_by_its_number(tmp_path, truth):
    path = lines(tmp_path / "p.jsonl", {"key": "a", "scene": scene_to_json(world())}, "{", {"key": "b"})
    found = read_scenes(path)
    assert set(found.items) == {"a"} and "line 2: not JSON" in found.faults["line 2"] and "format" in found.faults["b"]
    pairs = pair(found, read_scenes(truth), fields=FIELDS)
    assert {row["key"] for row in pairs.excluded} == {"b", "c", "line 2"}


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    path = lines(tmp_path / "p.jsonl", *[{"key": "a.png", "scene": scene_to_json(world())}] * 2)
    with pytest.raises(SceneError, match=r"the key 'a' stands twice .*line 1.*line 2.; remove one"):
        read_scenes(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"units": "m"}, "units m and not clevr"),
        ({"frame": "camera", "up_axis": "-y"}, "frame camera and not world, up_axis -y"),
        ({"schema": "objaworld"}, "schema objaworld and not clevr.*pass --schema"),
    ],
)
def test_other_conventions_are_an_error(tmp_path, truth, values, message):
    path = folder(tmp_path / "ours", a=world(cube(0)), b=world(cube(0), **values))
    with pytest.raises(SceneError, match=f"1 scenes differ .* 'b': {message}"):
        pair(read_scenes(path), read_scenes(truth), fields=FIELDS)


def test_a_named_schema_overrules_those_of_the_files(tmp_path, truth):
    path = folder(tmp_path / "ours", **{name: world(cube(i), schema="mine") for i, name in enumerate("abc")})
    results = evaluate_scenes(read_scenes(path, "clevr"), read_scenes(truth, "clevr"), schema="clevr")
    assert results.figure("jaccard").value == 1 and results.excluded == ()


def test_nothing_in_common_and_nothing_at_all_are_errors(tmp_path, truth):
    with pytest.raises(SceneError, match="no readable item in common; their first keys are 'x' and 'a'"):
        pair(read_scenes(folder(tmp_path / "x", x=world())), read_scenes(truth), fields=FIELDS)
    with pytest.raises(SceneError, match="holds no item"):
        read_scenes(folder(tmp_path / "empty"))
    with pytest.raises(SceneError, match="holds many scenes; give the file itself"):
        (tmp_path / "y").mkdir()
        (tmp_path / "y" / "all.json").write_text(truth.read_text())
        raise SceneError(read_scenes(tmp_path / "y").faults["all"])


def test_names_pair_where_whole_paths_do_not(tmp_path):
    long = lines(tmp_path / "t.jsonl", {"key": "val/x/a.jpg", "scene": scene_to_json(world(cube(0)))})
    ours = folder(tmp_path / "ours", a=world(cube(0)))
    assert pair(read_scenes(ours), read_scenes(long), fields=FIELDS).excluded == ()


def test_the_figures_of_a_small_set_by_hand(tmp_path, truth):
    path = folder(tmp_path / "ours", a=world(cube(0.12)), b=world(cube(1), cube(2, color="blue")))
    results = evaluate_scenes(read_scenes(path), read_scenes(truth))
    # a: 0 at 0.05 and 0.1, then 1; b: 1/2; c, without a prediction: 0
    assert results.figure("jaccard at 0.1").value == pytest.approx((0 + 1 / 2 + 0) / 3)
    assert results.figure("jaccard").value == pytest.approx((3 / 5 + 1 / 2 + 0) / 3)
    assert results.figure("count error").value == pytest.approx(2 / 3)
    assert results.figure("position error").value == pytest.approx(0.06)
    assert results.items[1]["pairs"] == [[0, 0, 0.0]]
    assert (results.items[1]["extras"], results.items[2]["misses"]) == ([1], [0])
    assert results.items[1]["predicted"][1]["color"] == "blue"
    assert results.tables["confusion"]["color"] == {"words": ["red"], "counts": [[2]]}
    assert [row["tau"] for row in results.tables["by tau"]] == [0.05, 0.1, 0.15, 0.2, 0.25]


def test_the_released_forms_are_read_and_scored_as_the_scripts_do(tmp_path):
    ours, theirs = tmp_path / "predicted.json", tmp_path / "truth"
    (theirs / "output-park-large-10K-6" / "scenes").mkdir(parents=True)
    bench = {"shape": "bench-2", "3d_coords": [0.5, 0, 0.2], "rotation": -3.1}
    (theirs / "output-park-large-10K-6" / "scenes" / "s1.json").write_text(json.dumps({"objects": [bench]}))
    objects = [{"shape": "bench", "3d_coords": [0.5, 0.1, 0.2, 3.1]}]
    ours.write_text(json.dumps({"scenes": [{"key": "s1.png_park", "objects": objects}]}))
    release = evaluate_released(ours, theirs, schema="objaworld", taus=(0.25,))
    assert release.figure("jaccard at 0.25").value == 0  # angles that do not go around the circle
    paper = evaluate_scenes(
        read_scenes(ours, "objaworld"), read_scenes(theirs, "objaworld"), schema="objaworld", taus=(0.25,)
    )
    assert paper.figure("jaccard").value == 1
    assert paper.figure("pose error").value == pytest.approx(2 * 3.141592653589793 - 6.2)


def test_released_scenes_without_a_prediction_are_left_out_and_listed(tmp_path, truth):
    ours = folder(tmp_path / "ours", a=world(cube(0)), d=world())
    results = evaluate_released(ours, truth, schema="clevr", taus=(0.25,))
    assert (results.figures[0].value, results.figures[0].count) == (1, 1)
    assert {row["key"] for row in results.excluded} == {"b", "c", "d"}
