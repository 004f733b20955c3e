import json
from dataclasses import replace
from pathlib import Path

import loading
import pytest
from PIL import Image

from kyvo.data.dataset import open_set, write_set
from kyvo.data.sets import ClevrSet
from kyvo.errors import SceneError
from kyvo.metrics.scenes import CLEVR_TAUS, mean_jaccard
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
    out, sheet = tmp_path / "new" / "results.json", tmp_path / "sheet.png"
    arguments = ["--model", str(model), "--data", str(data), "--limit", "4", "--batch-size", "3", "--device", "cpu"]
    results = program.main([*arguments, "--out", str(out), "--sheet", str(sheet)])
    scores = results["scores"]
    assert scores["num_scenes"] == 4 and scores["seconds_per_picture"] > 0
    assert set(scores["jaccard_by_tau"]) == set(CLEVR_TAUS)
    assert 0 <= scores["jaccard"] <= scores["optimal_jaccard"] <= 1
    assert 0 <= scores["num_truncated"] <= 4

    written = json.loads(out.read_text())
    assert written["scores"]["jaccard_by_tau"].keys() == {"0.05", "0.1", "0.15", "0.2", "0.25"}
    assert written["data"]["sha256"] == json.loads((data / "card.json").read_text())["sha256"]
    assert {"config.json", "model.safetensors", "schema.json"} <= written["model"]["sha256"].keys()
    assert written["machine"]["cpu"] and written["command"].startswith("python eval/recognition.py --model")
    assert Image.open(sheet).width > 4 * 3 * 24


def test_the_same_pictures_score_the_same_as_files_and_as_a_set(program, model, data, tmp_path):
    rows = open_set(data)
    samples = program.arrow_samples(data)[1]
    scenes = [replace(truth, image=row["name"]) for row, (_, truth) in zip(rows, samples, strict=True)]
    for row in rows:
        row["image"].save(tmp_path / row["name"])
    save_clevr(scenes, tmp_path / "scenes.json")
    files = ["--clevr", str(tmp_path / "scenes.json"), "--images", str(tmp_path)]
    from_files, from_set = (
        program.main(["--model", str(model), "--device", "cpu", *source])["scores"]
        for source in (files, ["--data", str(data)])
    )
    assert from_files | {"seconds_per_picture": 0} == from_set | {"seconds_per_picture": 0}


def test_a_scene_without_its_picture_is_named(program, model, data, tmp_path):
    truth = next(program.arrow_samples(data)[1])[1]
    save_clevr([replace(truth, image="lost.png")], tmp_path / "scenes.json")
    with pytest.raises(SceneError, match=r"1 of the 1 scenes in .*scenes\.json have no picture .* lost\.png"):
        program.main(["--model", str(model), "--clevr", str(tmp_path / "scenes.json"), "--images", str(tmp_path)])


def test_real_clevr_pictures_are_found_by_their_names(program, model, shared_data):
    clevr = shared_data / "clevr"
    sources = ["--clevr", str(clevr / "clevr_pairs_scenes.json"), "--images", str(clevr / "real_v1" / "images")]
    results = program.main(["--model", str(model), "--device", "cpu", "--limit", "3", *sources])
    assert results["scores"]["num_scenes"] == 3


def test_scenes_without_a_folder_of_pictures_are_wrong_usage(program, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--clevr", "scenes.json"])
    assert "--clevr and --images go together" in capsys.readouterr().err


def test_the_truth_itself_scores_one(program, data):
    count, samples = program.arrow_samples(data)
    truths = [scene for _, scene in program.arrow_samples(data)[1]]
    answers = iter(truths)
    batches = program._batches(samples, count, 2)
    first, predictions, seen, _ = program.evaluate(lambda pictures: [next(answers) for _ in pictures], batches)
    scores = mean_jaccard(predictions, seen)
    assert len(first) == len(seen) == count == 5 and seen == truths
    assert scores.jaccard == scores.optimal_jaccard == scores.count_accuracy == 1.0 and scores.position_error == 0.0
