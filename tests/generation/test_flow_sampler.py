"""The sampler follows a velocity field; what is known is kept."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kyvo.errors import ConfigError
from kyvo.generation.flow_sampler import (
    Cancelled,
    FlowSampler,
    seeded_noise,
)
from kyvo.generation.repaint import Repaint
from kyvo.models.flow.path import SIGMA_MIN, add_noise, noise_level, velocity_target


def towards(data):
    """The field of a single datum: its velocity brings any state there."""

    def velocity(x, t, condition):
        noise = (x - (1 - t) * condition) / noise_level(t)
        return velocity_target(condition, noise)

    return velocity


def test_times_are_the_published_ones():
    found = FlowSampler(steps=4, rescale_t=3.0).times()
    even = torch.linspace(1, 0, 5).tolist()
    assert found == pytest.approx([3 * t / (1 + 2 * t) for t in even])
    assert FlowSampler(steps=2, rescale_t=1.0).times() == [1.0, 0.5, 0.0]


@given(st.floats(0.01, 1.0), st.integers(1, 30), st.floats(0.5, 8.0))
def test_times_begin_where_they_are_told_and_fall_to_zero(start, steps, rescale):
    times = FlowSampler(steps=steps, rescale_t=rescale).times(start)
    assert times[0] == pytest.approx(start)
    assert times[-1] == 0
    assert len(times) == steps + 1
    assert all(after < before for before, after in pairwise(times))


def test_a_straight_field_is_followed_exactly():
    data, noise = torch.randn(2, 3), torch.randn(2, 3)
    for steps in (1, 7):
        sampler = FlowSampler(steps=steps, guidance=0.0)
        found = sampler.sample(towards(data), noise, condition=data, negative=None)
        torch.testing.assert_close(found, data, rtol=0, atol=1e-4)


def test_the_target_is_the_derivative_of_the_state():
    data, noise = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    step = 1e-6
    slope = (add_noise(data, noise, 0.4 + step) - add_noise(data, noise, 0.4 - step)) / (2 * step)
    torch.testing.assert_close(slope, velocity_target(data, noise), rtol=0, atol=1e-8)
    torch.testing.assert_close(add_noise(data, noise, 1.0), noise)
    torch.testing.assert_close(add_noise(data, noise, 0.0), data + SIGMA_MIN * noise)


def test_guidance_is_applied_within_its_interval_and_costs_a_call_only_there():
    calls = []

    def velocity(x, t, condition):
        calls.append((round(t, 3), condition))
        return torch.full_like(x, 1.0 if condition == "yes" else 0.25)

    sampler = FlowSampler(steps=4, guidance=2.0, guidance_interval=(0.5, 0.8), rescale_t=1.0)
    found = sampler.sample(velocity, torch.zeros(1), condition="yes", negative="no")
    # Of four steps of 1/4, those at 0.75 and 0.5 are guided: 3 * 1 - 2 * 0.25 = 2.5.
    assert found.item() == pytest.approx(-(1 + 2.5 + 2.5 + 1) / 4)
    assert calls == [(1.0, "yes"), (0.75, "yes"), (0.75, "no"), (0.5, "yes"), (0.5, "no"), (0.25, "yes")]


@pytest.mark.parametrize(("start", "expected"), [(1.0, 0.5), (0.5, 1.0)])
def test_temperature_scales_pure_noise_alone(start, expected):
    sampler = FlowSampler(steps=2, guidance=0.0, temperature=0.5)
    nothing = {"condition": None, "negative": None}
    found = sampler.sample(lambda x, t, condition: torch.zeros_like(x), torch.ones(3), start=start, **nothing)
    assert found.tolist() == [expected] * 3


def test_progress_counts_the_steps_and_estimates_the_rest():
    seen = []
    FlowSampler(steps=3, guidance=0.0).sample(
        lambda x, t, condition: x, torch.ones(1), condition=None, negative=None, stage="shape", progress=seen.append
    )
    assert [(one.stage, one.step, one.num_steps) for one in seen] == [("shape", step, 3) for step in (1, 2, 3)]
    assert seen[0].seconds_left == pytest.approx(2 * seen[0].seconds)
    assert seen[-1].seconds_left == 0


def test_a_cancelled_sampling_stops_before_its_next_step():
    calls = []

    def velocity(x, t, condition):
        calls.append(t)
        return x

    with pytest.raises(Cancelled, match="shape was cancelled after 2 of 5 steps"):
        FlowSampler(steps=5, guidance=0.0).sample(
            velocity, torch.ones(1), condition=None, negative=None, stage="shape", cancelled=lambda: len(calls) == 2
        )
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"rescale_t": 0.0}, "rescale_t is 0.0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"guidance_interval": (0.9, 0.1)}, r"guidance_interval is \(0.9, 0.1\)"),
        ({"guidance_interval": (0.0, 1.5)}, "two times in"),
    ],
)
def test_settings_out_of_range_are_refused(setting, match):
    with pytest.raises(ConfigError, match=match):
        FlowSampler(**setting)


def test_a_start_out_of_range_is_refused():
    with pytest.raises(ConfigError, match="starts at 0; it must be in"):
        FlowSampler().times(0)


def test_a_samples_noise_depends_on_its_seed_and_number_alone():
    shapes = [(4, 5), (3, 2), (40, 40)]
    together = seeded_noise(shapes, seed=7)
    threads = torch.get_num_threads()
    for number, shape in enumerate(shapes):
        torch.set_num_threads(1 + number)
        (alone,) = seeded_noise([shape], seed=7, first=number)
        assert torch.equal(alone, together[number])
    torch.set_num_threads(threads)
    assert not torch.equal(together[2], seeded_noise([(40, 40)], seed=8, first=2)[0])
    assert not torch.equal(together[2], seeded_noise([(40, 40)], seed=7, first=1)[0])


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_is_known_comes_out_as_it_was(repeats):
    torch.manual_seed(0)
    data, noise, other = torch.randn(6, 2), torch.randn(6, 2), torch.randn(6, 2)
    unknown = torch.tensor([True, False, True, False, False, True])[:, None]
    constraint = Repaint(data=data, unknown=unknown, noise=noise, repeats=repeats)
    steps = []

    def velocity(x, t, condition):
        expected = add_noise(data, noise, t)
        torch.testing.assert_close(x[~unknown[:, 0]], expected[~unknown[:, 0]])
        steps.append(t)
        return towards(other)(x, t, condition)

    found = FlowSampler(steps=5, guidance=0.0).sample(
        velocity, noise, condition=other, negative=None, constraint=constraint
    )
    assert torch.equal(found[~unknown[:, 0]], data[~unknown[:, 0]])
    torch.testing.assert_close(found[unknown[:, 0]], other[unknown[:, 0]], rtol=0, atol=1e-4)
    assert len(steps) == 5 * repeats


def test_a_step_back_gives_the_noise_of_the_earlier_time():
    data = torch.full((200_000,), 2.0)
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    constraint = Repaint(data=data, unknown=torch.tensor(True), noise=noise, seed=1)
    back = constraint.back(add_noise(data, noise, 0.3), 0.3, 0.7)
    assert back.mean().item() == pytest.approx(0.3 * 2.0, abs=0.01)
    assert back.std().item() == pytest.approx(noise_level(0.7), abs=0.01)


def test_fewer_than_one_repeat_is_refused():
    with pytest.raises(ConfigError, match="repeats is 0"):
        Repaint(data=torch.zeros(1), unknown=torch.tensor(True), noise=torch.zeros(1), repeats=0)
