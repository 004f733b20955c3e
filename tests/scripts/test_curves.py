import json

import loading
import pytest
from PIL import Image

from kyvo.errors import ConfigError

LOG = """Step 10 | loss:3.0 lr:0.1
a line of no step
Step 20 | loss:2.0 lr:0.1
Step 30 | loss:9.0 lr:0.1
Step 20 | loss:1.5 lr:0.1
Step 30 | loss:1.0 lr:0.05
"""


def test_a_log_gone_on_with_counts_each_step_once_and_is_drawn(tmp_path):
    (tmp_path / "train.log").write_text(LOG)
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"step": 50 * n, "psnr": 20.0 + n}) + "\n" for n in (1, 2)))
    args = ["--run", str(tmp_path), "--image-tokenizer", str(tmp_path), "--out", str(tmp_path / "card")]
    with loading.program("eval/curves.py") as program:
        curves = program.main(args)
    assert curves["language_model"] == {"step": [10, 20, 30], "loss": [3.0, 1.5, 1.0], "lr": [0.1, 0.1, 0.05]}
    assert json.loads((tmp_path / "card" / "curves.json").read_text()) == curves
    assert Image.open(tmp_path / "card" / "curves.png").size[0] > 600


def test_a_folder_without_a_log_is_named(tmp_path):
    with loading.program("eval/curves.py") as curves, pytest.raises(ConfigError, match=r"there is no \S+train\.log"):
        curves.read_train_log(tmp_path / "train.log")
