"""Norms in few passes are PyTorch's norms."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from telecine.engine.channel_norm import ChannelNorm, scaled_norm

EPS = 1e-6
DTYPES = (torch.float32, torch.bfloat16)


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 32), (2, 5, 3, 32)])
def test_weighted_norm_is_pytorch_s(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    norm, hidden = ChannelNorm(32, EPS).to(dtype), _numbers(*shape).to(dtype)
    norm.weight.copy_(_numbers(32))
    expected = functional.rms_norm(hidden, (32,), norm.weight, EPS)
    torch.testing.assert_close(norm(hidden.clone()), expected)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_is_taken_in_float32_and_scaled_by_the_sample(dtype: torch.dtype) -> None:
    hidden, scale = (100.0 * _numbers(2, 5, 32)).to(dtype), _numbers(2, 1, 32)
    kept = hidden.clone()
    expected = functional.rms_norm(hidden.float(), (32,), eps=EPS) * scale
    torch.testing.assert_close(scaled_norm(hidden, scale, EPS), expected.to(dtype))
    assert torch.equal(hidden, kept)


@torch.inference_mode()
def test_zeros_stay_zeros() -> None:
    zeros = torch.zeros(2, 32)
    assert torch.equal(ChannelNorm(32, EPS)(zeros.clone()), zeros)
    assert torch.equal(scaled_norm(zeros, torch.ones(32), EPS), zeros)
