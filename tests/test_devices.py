import pytest
import torch

from kyvo import devices


@pytest.fixture
def measured(monkeypatch):
    """Products take as long as the test says, in seconds by dtype."""
    seconds = {torch.float32: 1.0, torch.bfloat16: 1.0}
    monkeypatch.setattr(devices, "matmul_seconds", lambda left, right: seconds[left.dtype])
    devices.fastest_dtype.cache_clear()
    devices.matmul_rates.cache_clear()
    yield seconds
    devices.fastest_dtype.cache_clear()
    devices.matmul_rates.cache_clear()


@pytest.mark.parametrize(
    ("bfloat16", "expected"), [(100.0, torch.float32), (1.0, torch.float32), (0.4, torch.bfloat16)]
)
def test_a_cpu_multiplies_in_bfloat16_only_where_that_is_faster(measured, bfloat16, expected):
    measured[torch.bfloat16] = bfloat16
    assert devices.fastest_dtype("cpu") == expected
    with devices.autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_a_gpu_multiplies_in_bfloat16():
    assert devices.fastest_dtype("cuda") == torch.bfloat16


def test_the_time_of_a_product_is_measured():
    small, large = torch.ones(8, 8), torch.ones(700, 700)
    assert 0 < devices.matmul_seconds(small, small) < devices.matmul_seconds(large, large)
