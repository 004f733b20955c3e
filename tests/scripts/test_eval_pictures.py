"""eval/in_domain.py and eval/corruptions.py, on pictures that are made here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import loading
import numpy as np
import pytest
from PIL import Image

from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.out_of_domain_pictures import clouds
from kyvo.generation.exposure import Exposure
from kyvo.generation.in_domain import EVIDENCE, InDomain
from kyvo.scene.clevr import save_clevr

SAMPLES = Path(__file__).resolve().parents[2] / "kyvo" / "assets" / "samples"


@pytest.fixture(scope="module")
def fitting():
    with loading.program("eval/in_domain.py") as module:
        yield module


@pytest.fixture(scope="module")
def clevr(tmp_path_factory):
    """A folder of pictures, and the file of their scenes."""
    folder = tmp_path_factory.mktemp("clevr")
    scenes = sample_scenes(range(4), seed=3, width=240, height=160)
    for index, picture in enumerate(render_scenes(scenes, width=240, height=160)):
        Image.fromarray(picture).save(folder / f"{index}.png")
    save_clevr([replace(scene, image=f"{index}.png") for index, scene in enumerate(scenes)], folder / "scenes.json")
    return folder


def test_the_area_is_the_chance_to_rank_two_pictures_right(fitting):
    assert fitting.area_under_roc(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.3])) == 1
    assert fitting.area_under_roc(np.array([0.5, 0.5]), np.array([0.5])) == 0.5
    assert fitting.area_under_roc(np.array([0.1, 0.9]), np.array([0.5])) == 0.5


def test_kinds_are_judged_by_themselves(fitting):
    score = InDomain(weights=dict.fromkeys(EVIDENCE, 0.0) | {"difference": -1.0}, shift=0.0)
    labels = [(fitting.REAL, fitting.KNOWN)] * 2 + [(fitting.PHOTOS[0], fitting.OTHER)] * 2 + [("grey", fitting.FAULT)]
    samples = [fitting.Sample(kind=kind, label=label, picture=np.zeros((1, 1, 3), np.uint8)) for kind, label in labels]
    evidence = np.zeros((5, len(EVIDENCE)))
    evidence[:, EVIDENCE.index("difference")] = (-2, 1, 2, 3, -1)
    judged = fitting.judge(score, samples, evidence)
    assert judged["flagged"] == {
        fitting.REAL: 0.5, "photographs and their parts": 1.0, "others": 1.0, "ordinary faults": 0.0,
    }  # fmt: skip
    assert judged["area_under_roc"]["real CLEVR pictures against others"] == 1.0
    assert judged["kinds"]["grey"]["flagged"] == 0 and judged["kinds"][fitting.REAL]["pictures"] == 2


@pytest.mark.slow
def test_a_score_is_fitted_on_one_part_and_measured_on_the_other(fitting, clevr, tmp_path):
    for part in ("fit", "test"):
        (tmp_path / part).mkdir()
        Image.fromarray(clouds(np.random.default_rng(len(part)))).save(tmp_path / part / "photo.png")
    (tmp_path / "meshes").mkdir()
    for name in "abcdefgh":
        shutil.copy(SAMPLES / "chair.glb", tmp_path / "meshes" / f"{name}.glb")
    photos = [str(tmp_path / "fit"), str(tmp_path / "test")]
    few = ["--count", "1", "--scenes", "6", "--renderings", "1", "--device", "cpu", "--out", str(tmp_path / "out")]
    about = fitting.main(["--images", str(clevr), "--photos", *photos, "--meshes", str(tmp_path / "meshes"), *few])
    assert about["fitted_on"][fitting.REAL] == 2 and about["test"]["kinds"][fitting.REAL]["pictures"] == 2
    assert about["test"]["area_under_roc"]["all known against others"] > 0.95
    assert InDomain.from_pretrained(tmp_path / "out") is not None
    assert Exposure.from_pretrained(tmp_path / "out") is not None


@pytest.mark.slow
def test_corruptions_are_measured_before_and_after(clevr, tmp_path):
    kinds, out = ["none", "brightness 0.5", "grey"], tmp_path / "corruptions.json"
    with loading.program("eval/corruptions.py") as program:
        found = program.main(
            ["--clevr", str(clevr / "scenes.json"), "--images", str(clevr), "--out", str(out), "--corruptions", *kinds]
        )["corruptions"]
    assert json.loads(out.read_text())["pictures"] == 4 and [*found] == kinds
    assert found["brightness 0.5"]["jaccard"] > found["none"]["jaccard"] - 0.15, "exposure brings the light back"
    assert found["grey"]["jaccard"] < found["none"]["jaccard"]
