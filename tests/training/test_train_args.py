import pytest

from kyvo.errors import ConfigError
from kyvo.training.args import TrainArgs, check_names
from kyvo.training.schedule import rate_factor


def test_yaml_values_become_settings():
    args = TrainArgs.from_config({"max_steps": 10, "clip_grad_norm": 2, "max_minutes": None, "compile": True})
    assert (args.max_steps, args.clip_grad_norm, args.max_minutes, args.compile) == (10, 2, None, True)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"max_steps": 1, "clip_grad_nrm": 1.0},
            r"train\.clip_grad_nrm is not a setting; did you mean train\.clip_grad_norm\?",
        ),
        ({"max_steps": 1, "zzz": 1.0}, r"train\.zzz is not a setting; known are max_steps"),
        ({"batch_size": 4}, r"train needs max_steps or max_epochs, one of the two"),
        ({"max_steps": 5, "max_epochs": 1}, r"train needs max_steps or max_epochs, one of the two"),
        ({"max_steps": 5, "decay": "cosine", "decay_steps": 2}, r"cosine, which falls over all steps"),
        ({"max_steps": 5, "on_nan": "ignore"}, r"train\.on_nan is 'ignore'; it can be stop, skip"),
        ({"max_steps": "1e3"}, r"train\.max_steps is '1e3'; it must be of type int"),
        ({"max_steps": True}, r"train\.max_steps is True; it must be of type int"),
        ({"max_steps": 5, "compile": 1}, r"train\.compile is 1; it must be of type bool"),
        ({"max_steps": 0}, r"train\.max_steps is 0; it must be at least 1"),
        ({"max_steps": 5, "precision": "fp16"}, r"'fp16'; it can be fp32, bf16_mixed, bf16"),
        ({"max_steps": 5, "warmup_steps": 4, "decay_steps": 2}, r"is 6, more than train\.max_steps, 5"),
    ],
)
def test_a_wrong_setting_is_refused_with_advice(section, message):
    with pytest.raises(ConfigError, match=message):
        TrainArgs.from_config(section)


def test_a_wrong_section_is_refused():
    with pytest.raises(ConfigError, match=r"optimiser is not a setting; did you mean optimizer\?"):
        check_names(["model", "optimiser"], ["model", "optimizer"])


def test_the_rate_rises_stays_and_falls():
    factors = [rate_factor(step, warmup_steps=3, decay_from=6, decay_steps=4) for step in range(10)]
    assert factors == [0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    factors = [rate_factor(step, warmup_steps=0, decay_from=0, decay_steps=4, decay="cosine") for step in range(4)]
    assert factors == pytest.approx([1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4])
    assert rate_factor(10**6, warmup_steps=0, decay_from=10, decay_steps=0) == 1


def test_epochs_are_counted_in_whole_batches():
    args = TrainArgs(max_epochs=2.5, batch_size=4, gradient_accumulation=2)
    assert args.num_steps(43, num_ranks=1) == 12  # 25 batches of 4
    assert args.num_steps(43, num_ranks=3) == 4
    assert TrainArgs(max_steps=7).num_steps(43, num_ranks=3) == 7
