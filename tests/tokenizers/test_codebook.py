"""Codebooks: their start from latents, and how their use is counted."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kyvo.tokenizers.codebook import cluster_centres, code_use, effective_dimensions, even_scales


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_evened_axes_have_the_root_of_their_scales():
    latents = torch.randn(4000, 3, generator=generator()) * torch.tensor([16.0, 4.0, 1.0])
    matrix, inverse = even_scales(latents)
    torch.testing.assert_close(matrix @ inverse, torch.eye(3), atol=1e-4, rtol=1e-4)
    scales = (latents @ matrix).std(0)
    assert (scales / scales[2]).tolist() == pytest.approx([4.0, 2.0, 1.0], rel=0.1)


def test_centres_find_clusters_apart_and_are_no_more_than_the_latents():
    places = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    latents = (places[:, None] + 0.1 * torch.randn(3, 50, 2, generator=generator())).flatten(0, 1)
    centres = cluster_centres(latents, count=12, rounds=5, generator=generator())
    assert torch.cdist(places, centres).min(1).values.max() < 0.3
    assert len(cluster_centres(latents[:4], count=12, rounds=1, generator=generator())) == 4


def test_effective_dimensions_count_the_directions_latents_spread_in():
    round_cloud = torch.randn(50, 5, 6, 6, generator=generator())
    assert effective_dimensions(round_cloud) == pytest.approx(5, abs=0.1)
    round_cloud[:, 2:] = 0
    assert effective_dimensions(round_cloud) == pytest.approx(2, abs=0.1)


def test_use_of_codes_by_hand():
    use = code_use(np.array([[3, 1], [3, 2], [3, 1], [0, 2]]), 8)
    assert use.share_used == 4 / 8
    assert use.most_frequent.tolist() == [3, 1] and use.frequency.tolist() == [0.75, 0.5]
    shares = np.array([1, 2, 2, 3]) / 8
    assert use.perplexity == pytest.approx(np.prod(shares**-shares))


@given(st.integers(1, 40), st.integers(1, 5))
def test_codes_in_equal_use_have_their_number_as_perplexity(count, times):
    codes = np.repeat(np.arange(count), times)[None]
    assert code_use(codes, 40).perplexity == pytest.approx(count)
    assert code_use(codes, 40).share_used == pytest.approx(count / 40)
