from dataclasses import replace
from pathlib import Path

import loading
import pytest
from PIL import Image

from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import SceneError
from kyvo.evaluation.inputs import sha256_of
from kyvo.evaluation.results import load_results
from kyvo.metrics.scenes import CLEVR_TAUS
from kyvo.scene.clevr import save_clevr
from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/recognition.py") as module:
        yield module


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny = tiny_kyvo()
    tiny.model.save_pretrained(folder)
    tiny.processor.save(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "set"
    write_set(folder, ClevrSet(count=5, seed=0, width=24, height=16, samples=1, batch=5))
    return folder


def test_a_set_is_scored_and_the_result_says_how_it_came_about(program, model, data, tmp_path):
    out, sheet = tmp_path / "new", tmp_path / "sheet.png"
    arguments = ["--model", str(model), "--data", str(data), "--limit", "4", "--batch-size", "3", "--device", "cpu"]
    results = program.main([*arguments, "--out", str(out), "--sheet", str(sheet)])
    figures = {figure.name: figure for figure in results.figures}
    assert figures["jaccard"].count == len(results.items) == 4
    assert {f"jaccard at {tau:g}" for tau in CLEVR_TAUS} < figures.keys()
    assert 0 <= figures["jaccard"].value <= figures["optimal jaccard"].value <= 1

    written = load_results(out / "results.json")
    assert written.inputs["truth"]["sha256"] == sha256_of(data)
    assert {"config.json", "model.safetensors", "schema.json"} <= written.inputs["model"]["sha256"].keys()
    assert written.versions["cpu"] and written.inputs["command"].startswith("python eval/recognition.py --model")
    assert Image.open(sheet).width > 4 * 3 * 24
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 4


def test_the_same_pictures_score_the_same_as_files_and_as_a_set(program, model, data, tmp_path):
    samples = list(program.arrow_samples(data)[1])
    for row in open_set(data):
        row["image"].save(tmp_path / row["name"])
    save_clevr([replace(truth, image=f"{key}.png") for key, _, truth in samples], tmp_path / "scenes.json")
    files = ["--clevr", str(tmp_path / "scenes.json"), "--images", str(tmp_path)]
    from_files, from_set = (
        program.main(["--model", str(model), "--device", "cpu", "--out", str(tmp_path / name), *source]).figures
        for name, source in (("files", files), ("set", ["--data", str(data)]))
    )
    assert from_files == from_set


def test_a_scene_without_its_picture_is_named(program, model, data, tmp_path):
    _, _, truth = next(program.arrow_samples(data)[1])
    save_clevr([replace(truth, image="lost.png")], tmp_path / "scenes.json")
    files = ["--clevr", str(tmp_path / "scenes.json"), "--images", str(tmp_path), "--out", str(tmp_path)]
    with pytest.raises(SceneError, match=r"1 of the 1 scenes in .*scenes\.json have no picture .* lost\.png"):
        program.main(["--model", str(model), *files])


def test_real_clevr_pictures_are_found_by_their_names(program, model, shared_data, tmp_path):
    clevr = shared_data / "clevr"
    sources = ["--clevr", str(clevr / "clevr_pairs_scenes.json"), "--images", str(clevr / "real_v1" / "images")]
    results = program.main(["--model", str(model), "--device", "cpu", "--limit", "3", "--out", str(tmp_path), *sources])
    assert results.figure("jaccard").count == 3


def test_scenes_without_a_folder_of_pictures_are_wrong_usage(program, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--clevr", "scenes.json", "--out", "out"])
    assert "--clevr and --images go together" in capsys.readouterr().err


def test_predictions_stand_beside_their_own_truths(program, data):
    count, samples = program.arrow_samples(data)
    truths = {key: scene for key, _, scene in program.arrow_samples(data)[1]}
    answers = iter(truths.values())
    batches = program._batches(samples, count, 2)
    first, predictions, seen, _ = program.predict(lambda pictures: [next(answers) for _ in pictures], batches)
    assert len(first) == len(seen) == count == 5 and seen == truths == predictions
