"""The bundled weights are as good as they were: noise of 5 % on a network's weights makes each of its figures fail."""

import pytest
from bundled_quality import FIGURES, Bundled, Figure, add_noise

RECORDED: dict[Figure, float] = {}
MARGIN: dict[Figure, float] = {}
NETWORKS = list(dict.fromkeys(FIGURES.values()))


@pytest.fixture(scope="module")
def bundled():
    return Bundled.load()


def fails(figure: Figure, value: float) -> bool:
    return value < RECORDED[figure] - MARGIN[figure]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_a_figure_is_no_lower_than_recorded(bundled, figure):
    value = figure(bundled)
    assert not fails(figure, value), f"{figure.__name__} is {value:.4f}; {RECORDED[figure]:.4f} is recorded"


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_noise_on_the_weights_makes_the_figure_fail(figure):
    noisy = Bundled.load()
    add_noise(FIGURES[figure](noisy), 0.05)
    assert fails(figure, figure(noisy))
