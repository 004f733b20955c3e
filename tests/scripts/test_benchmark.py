import json
import math

import loading
import pytest

TINY = ["--size", "kyvo_tiny", "--repeats", "2"]
RATIOS = {
    "train": {"ours_over_naive"},
    "decode": {
        "together_over_alone_without_cache",
        "together_over_generate",
        "alone_over_generate",
        "alone_over_without_cache",
        "together_over_alone",
        "copy_bandwidth_share_alone",
        "forwards_saved_by_forced_ids",
    },
    "data": {"two_processes_over_one", "tokenise_together_over_one_by_one", "open_set_over_load_json"},
}


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/benchmark.py") as module:
        yield module


def check(results, printed):
    """What every benchmark owes: its ratios, finite and positive, and JSON that says what it returned."""
    assert RATIOS[results["benchmark"]] <= results.keys()
    for name in RATIOS[results["benchmark"]]:
        assert math.isfinite(results[name]) and results[name] > 0, name
    assert json.loads(printed) == results
    assert results["machine"]["threads"] >= 1


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16_mixed", marks=pytest.mark.slow)])
def test_the_two_training_steps_have_one_loss_and_a_rate_each(program, capsys, precision):
    options = [
        "--vocabulary",
        "mini",
        "--device",
        "cpu",
        "--batch-size",
        "2",
        "--matmul",
        "64",
        "--precision",
        precision,
    ]
    results = program.main(["train", "--json", *TINY, *options])
    check(results, capsys.readouterr().out)
    losses = results["losses_on_one_batch"]
    assert losses["ours"] == pytest.approx(losses["naive"], rel=1e-4 if precision == "fp32" else 1e-2)
    assert results["mfu"]["ours"] > 0 and 0 < results["labelled_share"] < 1


@pytest.mark.slow
def test_the_engine_alone_together_and_transformers_say_the_same(program, capsys):
    options = ["--device", "cpu", "--batch-size", "3", "--alone", "2", "--max-objects", "2"]
    results = program.main(["decode", "--json", *TINY, *options])
    check(results, capsys.readouterr().out)
    assert set(results["equal_outputs"].values()) == {1.0}
    assert results["tokens_a_scene"] == 2 + 2 * 14 + 1  # scene markers, two objects of 14, EOS
    assert set(results["tokens_per_second"]) == set(results["equal_outputs"])
    assert results["forwards_saved_by_forced_ids"] == pytest.approx(
        1 - 2 * 8 / 31
    )  # two full objects, no end to choose
    asked = results["questions"]
    assert asked["others_over_first"] > 0 and asked["others_together_over_first"] > 0
    assert asked["prompt"] / 2 < asked["shared"] < asked["prompt"]


@pytest.mark.slow
def test_data_is_made_tokenised_and_opened(program, capsys):
    options = ["--pictures", "4", "--pixels", "16", "--rows", "6", "--scenes", "3001"]
    results = program.main(["data", "--json", *TINY, *options])
    check(results, capsys.readouterr().out)
    assert min(results["pictures_per_second"].values()) > 0
    large = results["large_set"]
    assert large["rows"] == 3001 and min(large["seconds_to_open"].values()) > 0
    assert large["megabytes_to_open"]["load_json"] > 3  # a scene has above 1 kB


def test_without_json_each_figure_is_a_line(program):
    lines = program._lines({"ours_over_naive": 1.5, "mfu": {"ours": 0.25}, "vocabulary": 137607})
    assert [line.split() for line in lines] == [
        ["ours_over_naive", "1.5"],
        ["mfu.ours", "0.25"],
        ["vocabulary", "137607"],
    ]


def test_counts_below_one_are_wrong_usage(program, capsys):
    with pytest.raises(SystemExit, match="2"):
        program.main(["train", "--repeats", "0"])
    assert "at least 1" in capsys.readouterr().err
