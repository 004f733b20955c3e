"""`kyvo evaluate` as a user calls it."""

import json

import pytest

from kyvo.cli.main import run
from kyvo.evaluation.results import load_results
from kyvo.scene.clevr import save_clevr
from kyvo.scene.files import save_scene
from kyvo.scene.scene import Scene, SceneObject

CUBE = SceneObject(shape="cube", size="large", color="red", material="metal", location=(0.0, 0.0, 0.7))


@pytest.fixture
def kyvo(capsys):
    """`kyvo("evaluate", "scenes", ...)` -> (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            run(["evaluate", *[str(argument) for argument in arguments]])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


@pytest.fixture
def files(tmp_path):
    """A folder of one predicted scene, and the truth of two."""
    (tmp_path / "ours").mkdir()
    save_scene(Scene(objects=(CUBE.with_values(location=(0.12, 0.0, 0.7)),)), tmp_path / "ours" / "a.json")
    save_clevr([Scene(objects=(CUBE,), image=f"{name}.png") for name in "ab"], tmp_path / "truth.json")
    return tmp_path / "ours", tmp_path / "truth.json"


def test_scenes_print_a_table_and_save_all_that_was_found(kyvo, files, tmp_path):
    code, out, err = kyvo("scenes", *files, "--out", tmp_path / "results.json")
    assert code == 0
    assert "jaccard at 0.15" in out and "0.5000" in out and "95 % interval" in out
    assert "b: counts as an empty scene: there is no prediction" in err
    results = load_results(tmp_path / "results.json")
    assert results.figure("jaccard").value == pytest.approx(3 / 5 / 2)
    assert results.inputs["truth"]["items"] == 2 and len(results.inputs["predictions"]["sha256"]) == 64
    assert [item["key"] for item in results.items] == ["a", "b"]


def test_json_goes_to_stdout_alone(kyvo, files):
    code, out, err = kyvo("scenes", *files, "--json", "--tau", 0.1, "--tau", 0.2)
    data = json.loads(out)
    assert code == 0 and err.count("\n") == 1
    assert data["protocol"]["taus"] == [0.1, 0.2] and data["protocol"]["name"] == "paper"
    assert {figure["name"]: figure["value"] for figure in data["figures"]}["jaccard"] == pytest.approx(1 / 4)


def test_the_released_protocol_leaves_out_what_has_no_prediction(kyvo, files):
    code, out, err = kyvo("scenes", *files, "--json", "--protocol", "release", "--tau", 0.25)
    assert code == 0 and [figure["value"] for figure in json.loads(out)["figures"]] == [1.0]
    assert "b: left out: there is no prediction" in err


def test_two_protocols_give_results_that_no_table_joins(kyvo, files, tmp_path):
    from kyvo.errors import ConfigError
    from kyvo.evaluation.results import side_by_side

    for name in ("paper", "release"):
        assert kyvo("scenes", *files, "--protocol", name, "--out", tmp_path / f"{name}.json")[0] == 0
    with pytest.raises(ConfigError, match="different protocols"):
        side_by_side({name: load_results(tmp_path / f"{name}.json") for name in ("paper", "release")})


def test_confidence_leaves_out_unsure_objects_and_is_in_the_protocol(kyvo, files):
    ours, truth = files
    sure = CUBE.with_values(confidence=0.9)
    save_scene(Scene(objects=(sure, CUBE.with_values(confidence=0.1))), ours / "a.json")
    assert json.loads(kyvo("scenes", ours, truth, "--json")[1])["figures"][0]["value"] == 0.25
    data = json.loads(kyvo("scenes", ours, truth, "--json", "--confidence", 0.5)[1])
    assert data["figures"][0]["value"] == 0.5 and data["protocol"]["confidence"] == 0.5


def test_answers_print_guessing_beside_them(kyvo, tmp_path):
    truth, ours = tmp_path / "truth.jsonl", tmp_path / "ours.jsonl"
    rows = [("q1", "yes", "exist"), ("q2", "no", "exist"), ("q3", "3", "count")]
    truth.write_text("\n".join(json.dumps({"key": k, "answer": a, "family": f}) for k, a, f in rows))
    ours.write_text(
        "\n".join(json.dumps({"key": k, "answer": a}) for k, a in [("q1", "yes"), ("q2", "yes"), ("q4", "3")])
    )
    code, out, err = kyvo("answers", ours, truth, "--json")
    figures = {figure["name"]: figure["value"] for figure in json.loads(out)["figures"]}
    assert code == 0
    assert figures["exact match"] == pytest.approx(1 / 3) and figures["exact match, family exist"] == 0.5
    assert figures["random"] == figures["most frequent"] == pytest.approx(2 / 3)
    assert "q3: counts as wrong: there is no answer" in err and "q4: the truth has no such key" in err
    ours.write_text(ours.read_text() + "\n" + json.dumps({"key": "q1", "answer": "no"}))
    assert "the key 'q1' stands twice" in kyvo("answers", ours, truth)[2]


def test_released_answers_are_paired_by_their_place(kyvo, tmp_path):
    for name, words in (("ours", ["[TEXT-START]yes[TEXT-END]", "2"]), ("truth", ["yes", "3"])):
        rows = [{"image_filename": f"x_scene_{index}", "answer": word} for index, word in enumerate(words)]
        (tmp_path / f"{name}.json").write_text(json.dumps({"answers": rows}))
    code, out, _ = kyvo("answers", tmp_path / "ours.json", tmp_path / "truth.json", "--protocol", "release", "--json")
    assert code == 0 and json.loads(out)["figures"][0]["value"] == 0.5


def test_errors_are_one_line_and_wrong_usage_exits_2(kyvo, files, tmp_path):
    code, out, err = kyvo("scenes", files[0], files[1], "--schema", "mine")
    assert (code, out) == (2, "") and "the paper has no criterion for 'mine'" in err and err.count("\n") == 1
    assert kyvo("scenes", files[0], tmp_path / "nowhere")[0] == 2
    assert kyvo("scenes", *files, "--tau", 0)[0] == 2
    assert kyvo("scenes", *files, "--tau", "nan")[0] == 2
