"""How long a step takes is told by mean, not by the commonest kind of batch, and not by those that compile."""

import pytest

from kyvo.training.throughput import WINDOW, Throughput


def test_steps_of_several_lengths_and_some_that_compile(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    throughput = Throughput()
    for step in range(WINDOW):
        assert throughput.seconds_per_step == 0
        tokens, rate = (9_000, 1_500) if step % 4 == 0 else (1_000, 2_000)
        now += tokens / rate + (60 if step % 20 in (4, 5) else 0)  # some compile for a minute
        throughput.count(tokens)
    assert throughput.tokens_per_second == pytest.approx(2_000)
    assert throughput.seconds_per_step == pytest.approx((20 * 6 + 70 * 0.5) / 90)
