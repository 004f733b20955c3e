import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model = tiny_kyvo()
    model.model.save_pretrained(path)
    model.processor.save(path)
    return path


def kyvo(*arguments) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("kyvo"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_exit_codes_are_0_done_1_some_failed_2_usage(folder, tmp_path):
    picture, broken = tmp_path / "a b.png", tmp_path / "broken.png"
    Image.fromarray(np.zeros((32, 48, 3), dtype=np.uint8)).save(picture)
    broken.write_text("no picture")
    out = tmp_path / "out"
    done = kyvo("recognize", picture, "--out", out, "--model", folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "a b.json").read_text())["image"] == "a b.png"
    assert "1 of 1 pictures recognised" in done.stdout
    some = kyvo("recognize", broken, picture, "--out", out, "--overwrite", "--model", folder)
    assert some.returncode == 1 and "not a picture" in some.stderr and "1 of 2 pictures" in some.stdout
    usage = kyvo("recognize", picture, "--out", out, "--batch-size", 0, "--model", folder)
    assert usage.returncode == 2 and "batch-size" in usage.stderr
    unknown = kyvo("recognize", picture, "--out", out, "--model", "maxi")
    assert unknown.returncode == 2 and "bundled model" in unknown.stderr
