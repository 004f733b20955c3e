import json
import math
from dataclasses import replace

import loading
import numpy as np
import pytest
import torch
from PIL import Image

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.metrics.images import psnr, ssim
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.testing import tiny_image
from kyvo.tokenizers.objects import object_maps


@pytest.fixture(scope="module")
def program():
    with loading.program("tokenizers/evaluate.py") as module:
        yield module


@pytest.fixture(scope="module")
def measured(program, tmp_path_factory):
    """The folder, the results of a tiny tokenizer on 24 ray-traced pictures, and what was printed."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_set(folder / "set", ClevrSet(count=24, seed=0, width=24, height=16, samples=1))
    tiny_image().save(folder / "tokenizer")
    arguments = ["--image-tokenizer", str(folder / "tokenizer"), "--data", str(folder / "set")]
    return folder, program.main([*arguments, "--out", str(folder / "out")])


@pytest.mark.slow
def test_the_figures_are_means_of_the_metrics_over_reconstructions(measured):
    folder, results = measured
    tokenizer = tiny_image()
    pictures = np.stack([np.asarray(image) for image in open_set(folder / "set")["image"]])
    codes = tokenizer.encode(pictures)
    ours = tokenizer.decode(codes)
    assert results["pictures"] == 24
    assert results["psnr"] == pytest.approx(np.mean([psnr(a, b) for a, b in zip(ours, pictures, strict=True)]))
    assert results["ssim"] == pytest.approx(np.mean([ssim(a, b) for a, b in zip(ours, pictures, strict=True)]))
    assert results["codes_used"] == len(np.unique(codes)) / 16
    first = np.bincount(codes[:, 0])
    assert results["most_frequent_codes"][0][0] == first.argmax()
    assert results["their_frequency"][0][0] == pytest.approx(first.max() / 24)


def test_results_are_whole_json_and_the_pictures_are_there(measured):
    folder, results = measured
    assert json.loads((folder / "out" / "results.json").read_text()) == results
    sheet = Image.open(folder / "out" / "reconstructions.png")
    assert sheet.width > 3 * 360 and sheet.height > 6 * 240
    assert len(np.unique(np.asarray(Image.open(folder / "out" / "codes.png").convert("L")))) > 10


def test_objects_are_read_from_both_and_small_ones_apart(measured):
    objects = measured[1]["objects"]
    assert objects["fitted_on_pictures"] == objects["scored_on_pictures"] == 12
    assert objects["small"]["objects"] + objects["large"]["objects"] == objects["all"]["objects"]
    for which in ("originals", "reconstructions"):
        assert {"object_f1", "color", "shape", "offset_cells"} <= objects["all"][which].keys()
        assert "object_f1" not in objects["small"][which]
        assert all(math.isfinite(score) for score in objects["small"][which].values())


def test_objects_of_one_size_are_chosen_by_their_word(program):
    scenes = sample_scenes([0, 1], seed=5, width=120, height=80)
    maps = object_maps(scenes, clevr_schema(), rows=10, columns=15)
    parts = program.only_of_size(clevr_schema(), maps)
    assert torch.equal(parts["small"].present | parts["large"].present, maps.present)
    assert not (parts["small"].present & parts["large"].present).any()
    none = replace(maps, present=torch.zeros_like(maps.present))
    assert program.only_of_size(clevr_schema(), none) == {}


def test_where_objects_cannot_be_measured_it_says_why(program, measured, tmp_path, capsys):
    folder = measured[0]
    arguments = ["--image-tokenizer", str(folder / "tokenizer")]
    results = program.main([*arguments, "--data", str(folder / "set"), "--limit", "3"])
    assert results["objects"] == {"left_out": "3 pictures; a reading is fitted on 20 or more."}
    assert "not measured: 3 pictures" in capsys.readouterr().out
    for index in range(20):
        Image.new("RGB", (24, 16), (index, 0, 0)).save(tmp_path / f"{index}.png")
    results = program.main([*arguments, "--data", str(tmp_path)])
    assert "no scenes" in results["objects"]["left_out"]
