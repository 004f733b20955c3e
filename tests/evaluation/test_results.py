"""Results: files, intervals, and tables that refuse to mix protocols."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.results import Figure, Results, bootstrap, load_results, mean_figure, save_results, side_by_side

ONE = Results(
    kind="scenes",
    protocol={"name": "paper", "taus": (0.05, 0.1)},
    figures=[Figure(name="jaccard", value=0.5, low=0.4, high=0.6, count=10), Figure(name="pose error", value=None)],
    items=[{"key": "a", "score": 0.5, "pairs": [[0, 1, 0.02]]}],
    excluded=[{"key": "b", "reason": "there is no prediction"}],
)


def test_results_come_back_from_their_file(tmp_path):
    path = tmp_path / "new" / "results.json"
    save_results(ONE, path)
    assert load_results(path).to_json() == ONE.to_json()
    assert json.loads(path.read_text())["format"] == "kyvo-results"
    assert {"kyvo", "numpy", "python"} <= load_results(path).versions.keys()
    assert list(path.parent.iterdir()) == [path]


def test_a_number_that_is_not_finite_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "results.json"
    save_results(ONE, path)
    before = path.read_bytes()
    with pytest.raises(SceneError, match=r"items\[0\].score is not finite"):
        save_results(replace(ONE, items=[{"key": "a", "score": float("nan")}]), path)
    assert path.read_bytes() == before
    with pytest.raises(SceneError, match="figure 'psnr': value is inf"):
        Figure(name="psnr", value=float("inf"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "no result file"),
        ({"version": 2}, "version is 2; this Kyvo reads 1"),
        ({"figures": [{"nam": 1}]}, "figures: "),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(ONE.to_json() | change))
    with pytest.raises(SceneError, match=message):
        load_results(path)


def test_two_protocols_do_not_go_into_one_table():
    other = replace(ONE, protocol={"name": "release", "taus": [0.05, 0.1]})
    with pytest.raises(ConfigError, match=r"ours and theirs follow different protocols .name: paper and release."):
        side_by_side({"ours": ONE, "theirs": other})
    with pytest.raises(ConfigError, match="holds scenes and theirs boxes"):
        side_by_side({"ours": ONE, "theirs": replace(ONE, kind="boxes")})


def test_a_table_joins_results_of_one_protocol_also_from_a_file(tmp_path):
    save_results(replace(ONE, figures=[Figure(name="jaccard", value=0.7)]), tmp_path / "b.json")
    table = side_by_side({"a": ONE, "b": load_results(tmp_path / "b.json")})
    assert {label: figure.value for label, figure in table["jaccard"].items()} == {"a": 0.5, "b": 0.7}
    assert set(table["pose error"]) == {"a"}


def test_the_interval_is_that_of_the_means_spread():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = bootstrap(values, 1)
    # the standard error of a mean of 400 with spread 2 is 0.1
    assert low == pytest.approx(values.mean() - 1.96 * 0.1, abs=0.04)
    assert high == pytest.approx(values.mean() + 1.96 * 0.1, abs=0.04)
    assert bootstrap(values, 1) == (low, high) != bootstrap(values, 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_interval_lies_within_the_values(values):
    figure = mean_figure("x", values, seed=0)
    assert min(values) - 1e-9 <= figure.low <= figure.high <= max(values) + 1e-9


def test_weights_make_it_the_mean_over_all_pairs():
    figure = mean_figure("x", [1.0, 0.0], seed=0, weights=[3, 1])
    assert figure.value == 0.75
    assert (figure.low, figure.high) == (0.0, 1.0)
    none = mean_figure("x", [0.0], seed=0, weights=[0])
    assert (none.value, none.low, none.high) == (None, None, None)


def test_asking_for_a_figure_that_is_not_there_names_those_that_are():
    assert ONE.figure("jaccard").value == 0.5
    with pytest.raises(ConfigError, match="no figure is called 'ssim'; there are jaccard, pose error"):
        ONE.figure("ssim")
