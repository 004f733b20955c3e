"""The in-domain score: its evidence, its fitting, its file, and that the bundled model's tells pictures apart."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.corruptions import lit
from kyvo.data.out_of_domain_pictures import FIT_KINDS, TEST_KINDS
from kyvo.errors import CheckpointError, ConfigError
from kyvo.generation.in_domain import EVIDENCE, FILE, InDomain, gather
from kyvo.scene.source import source_of
from kyvo.testing import same_score

SCENES = sample_scenes(range(3), seed=5, width=120, height=80)
PICTURES = render_scenes(SCENES, width=120, height=80)
ERRORS = np.full(len(SCENES), 0.5)


def test_a_scene_agrees_with_its_own_picture_and_with_no_other():
    own = gather(list(PICTURES), ERRORS, SCENES)
    for others in (PICTURES[:, ::-1], 255 - PICTURES, PICTURES[[1, 2, 0]]):
        apart = gather(list(others), ERRORS, SCENES) - own
        for name in ("difference", "worst_region", "pattern"):
            assert (apart[:, EVIDENCE.index(name)] > 0.2).all(), name
        assert (apart[:, [EVIDENCE.index("code_error"), EVIDENCE.index("surprise")]] == 0).all()


def test_brightness_counts_for_nothing():
    own, dark = (gather([lit(one, factor) for one in PICTURES], ERRORS, SCENES) for factor in (1.0, 0.5))
    assert np.abs(own - dark).max() < 0.1


def test_surprise_is_of_the_objects_confidences():
    column = EVIDENCE.index("surprise")

    def surprise(scene):
        return gather([PICTURES[0]], ERRORS[:1], [scene])[0, column]

    def sure(confidence):
        return replace(SCENES[0], objects=tuple(replace(item, confidence=confidence) for item in SCENES[0].objects))

    assert surprise(sure(1.0)) < surprise(sure(0.9)) < surprise(sure(0.3)) < surprise(sure(0.0))
    assert surprise(sure(0.9)) < surprise(replace(SCENES[0], objects=()))


def test_pictures_without_light_have_finite_evidence():
    black = [np.zeros((80, 120, 3), np.uint8)] * len(SCENES)
    assert np.isfinite(gather(black, ERRORS, SCENES)).all()


def test_fitting_tells_two_kinds_apart_and_no_evidence_speaks_for_a_picture():
    rng = np.random.default_rng(0)
    known = np.arange(200) < 150
    evidence = rng.normal(size=(200, len(EVIDENCE)))
    evidence[~known, :2] += 4
    evidence[known, 4] += 1  # which by itself would speak for a picture
    fitted = InDomain.fit(evidence, known.tolist())
    scores = np.array(fitted.scores(evidence))
    assert ((scores >= 0.5) == known).mean() > 0.98
    assert all(weight <= 0 for weight in fitted.weights.values())
    assert fitted.weights["code_error"] < 0 and fitted.weights["surprise"] == 0
    with pytest.raises(ConfigError, match="200 of 200 pictures are known"):
        InDomain.fit(evidence, [True] * 200)


def test_only_scores_below_the_threshold_are_warned_of():
    score = same_score(0.5)
    assert score.warnings(0.5) == () and replace(score, threshold=0.6).warnings(0.55) != ()
    assert "unlike those that the model knows (score 0.12, below 0.5)" in score.warnings(0.12)[0]
    assert score.scores(np.zeros((2, len(EVIDENCE)))) == pytest.approx([0.5, 0.5])


def test_it_is_saved_and_loaded(tmp_path):
    score = replace(same_score(0.25), threshold=0.4)
    score.save(tmp_path, {"fitted_on": {"photographs": 3}})
    assert InDomain.from_pretrained(tmp_path) == score
    assert json.loads((tmp_path / FILE).read_text())["fitted_on"] == {"photographs": 3}
    assert InDomain.from_pretrained(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"weights": {}}, "no in-domain score"),
        ({"shift": "x"}, "no in-domain score"),
        ({"threshold": 2}, "threshold within 0 and 1"),
        ({"shift": 1e999}, "must be finite"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, change, fault):
    same_score(0.5).save(tmp_path, {})
    data = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(data | change))
    with pytest.raises(CheckpointError, match=fault):
        InDomain.from_pretrained(tmp_path)


@pytest.mark.slow
def test_the_bundled_model_tells_its_pictures_from_others():
    """A floor: scenes that no training saw, and a picture of each kind that shows none."""
    model, rng = Kyvo.from_pretrained("mini", device="cpu"), np.random.default_rng(11)
    scenes = sample_scenes(range(6), seed=99, width=120, height=80)
    known = [*render_scenes(scenes, width=120, height=80)]
    others = [draw(rng) for draw in (*FIT_KINDS.values(), *TEST_KINDS.values())]
    others += [picture for one in known[:2] for picture in (one[::-1, ::-1], 255 - one)]
    found = [source_of(scene) for scene in model.recognize([*known, *map(np.ascontiguousarray, others)])]
    assert not any(source.warnings for source in found[: len(known)])
    assert all(source.warnings for source in found[len(known) :])
    assert min(source.in_domain for source in found[: len(known)]) > max(
        source.in_domain for source in found[len(known) :]
    )
    dark = source_of(model.recognize([lit(known[0], 0.5)])[0])
    assert not dark.warnings and "times as bright as the model's pictures" in dark.notes[0]
