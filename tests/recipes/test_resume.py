"""Killed at any moment and started again, a run ends as one that was never stopped, to the bit."""

import pytest
import torch

from kyvo.errors import CheckpointError

SHORT = {"max_steps": 8, "warmup_steps": 2, "decay_steps": 2, "save_every": 3, "model_precision": "fp32"}
LORA = {"peft": {"method": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.1}}
QLORA = {"peft": {"method": "qlora", "rank": 4}}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, dict):
            same(value, theirs[name])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name


@pytest.mark.parametrize(
    ("sections", "at", "while_saving"),
    [
        pytest.param({}, 1, False, id="full, nothing saved", marks=pytest.mark.slow),
        pytest.param({}, 4, False, id="full", marks=pytest.mark.slow),
        pytest.param({}, 6, True, id="full, saving"),
        pytest.param(LORA, 5, False, id="lora", marks=pytest.mark.slow),
        pytest.param(QLORA, 4, False, id="qlora", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_one_never_stopped(runs, sections, at, while_saving):
    runs.run("whole", sections=sections, **SHORT)
    runs.killed("parts", at, while_saving=while_saving, sections=sections, **SHORT)
    runs.run("parts", sections=sections, resume=at >= 3, **SHORT)
    assert runs.losses("parts") == runs.losses("whole")
    ours, theirs = runs.state("parts"), runs.state("whole")
    for part in ("model", "optimizer"):
        same(ours[part], theirs[part])


@pytest.mark.slow
def test_two_ranks_killed_and_started_again_end_as_two_never_stopped(runs):
    runs.killed("whole", 0, count=2, **SHORT)
    runs.killed("parts", 4, count=2, **SHORT)
    runs.killed("parts", 0, count=2, resume=True, **SHORT)
    assert runs.losses("parts") == runs.losses("whole")
    ours, theirs = runs.state("parts"), runs.state("whole")
    for part in ("model", "optimizer"):
        same(ours[part], theirs[part])


@pytest.mark.slow
def test_two_ranks_have_the_loss_of_one_process_and_each_goes_on_from_the_other(runs):
    runs.killed("two", 0, count=2, **SHORT)
    runs.run("one", gradient_accumulation=2, **SHORT)
    assert runs.losses("two") == pytest.approx(runs.losses("one"), rel=1e-5)
    runs.killed("mixed", 4, count=2, **SHORT)
    runs.run("mixed", gradient_accumulation=2, resume=True, **SHORT)
    assert runs.losses("mixed") == pytest.approx(runs.losses("one"), rel=1e-5)


def test_other_batches_a_step_are_refused_by_what_differs(runs):
    runs.run("one", gradient_accumulation=2, **SHORT)
    recipe, cfg = runs.build("one", gradient_accumulation=3, resume=True, **SHORT)
    with pytest.raises(CheckpointError, match=r"was trained with ranks x gradient_accumulation 2 \(now 3\)\. Take"):
        recipe.setup(cfg)


@pytest.mark.slow
def test_a_broken_checkpoint_is_skipped_for_the_one_before(runs, caplog):
    runs.run("whole", **SHORT)
    runs.run("parts", **{**SHORT, "max_steps": 6, "decay_steps": 0})
    with (runs.newest("parts") / "state.pt").open("r+b") as file:
        file.seek(3000)
        file.write(b"\0" * 8)
    runs.run("parts", resume=True, **SHORT)
    assert "skipped" in caplog.text and "sha256 differs" in caplog.text
    assert runs.losses("parts")[8] == runs.losses("whole")[8]


@pytest.mark.slow
def test_adapters_on_another_base_are_refused(runs):
    runs.run("run", sections=LORA, **SHORT)
    recipe, cfg = runs.build("run", sections=LORA, resume=True, **{**SHORT, "seed": 1})
    with pytest.raises(CheckpointError, match="adapters of other base weights"):
        recipe.setup(cfg)
    recipe, cfg = runs.build("run", resume=True, **SHORT)
    with pytest.raises(CheckpointError, match="was trained with peft"):
        recipe.setup(cfg)
