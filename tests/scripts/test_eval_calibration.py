import json

import loading
import numpy as np
import pytest

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import ClevrRules
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import ConfigError
from kyvo.generation.calibration import Calibration
from kyvo.metrics.scenes import mean_jaccard
from kyvo.scene.files import scene_from_json


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/calibration.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Crowded pictures, of whose objects the bundled model gets many right, and not all."""
    folder = tmp_path_factory.mktemp("data") / "set"
    rules = ClevrRules(min_objects=8, max_objects=10)
    write_set(folder, ClevrSet(count=16, seed=0, width=120, height=80, samples=4, rules=rules))
    return folder


@pytest.mark.slow
def test_confidences_of_the_bundled_model_are_fitted_on_some_pictures_and_judged_on_others(program, data, tmp_path):
    about = program.main(["--data", str(data), "--fit", "10", "--test", "6", "--device", "cpu", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "calibration.json").read_text())
    assert Calibration.from_pretrained(tmp_path).scale == written["scale"] > 0
    assert written["command"] == "python eval/calibration.py --model mini --data set --fit 10 --test 6"
    assert sum(row["objects"] for row in written["reliability"]) == about["objects"]["test"]
    assert all(0 <= value <= 1 for value in about["expected_calibration_error"].values())


@pytest.mark.slow
def test_objects_are_right_as_often_as_the_index_counts_them(program, data):
    rows, model = open_set(data), Kyvo.from_pretrained("mini", device="cpu")
    sure, right = program.judge(model, rows, range(4, 8), 4)
    truths = [scene_from_json(json.loads(rows[index]["scene"])) for index in range(4, 8)]
    found = model.recognize([np.asarray(rows[index]["image"].convert("RGB")) for index in range(4, 8)])
    assert len(sure) == len(right) == sum(map(len, found))
    matched = 0
    for scene, truth in zip(found, truths, strict=True):
        index = mean_jaccard([scene], [truth], taus=(0.25,)).jaccard
        matched += index * (len(scene) + len(truth)) / (1 + index)
    assert sum(right) == pytest.approx(matched)


def test_a_set_that_is_too_small_is_refused_before_the_work(program, tmp_path):
    write_set(tmp_path / "set", ClevrSet(count=2, seed=0, width=24, height=16, samples=1))
    with pytest.raises(ConfigError, match="has 2 pictures; --fit 2 --test 1 need more"):
        program.main(["--data", str(tmp_path / "set"), "--fit", "2", "--test", "1"])
