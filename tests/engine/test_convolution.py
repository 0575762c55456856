"""A convolution gives PyTorch's numbers, however its frames lie in memory and whoever makes it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from telecine.engine.convolution import Sizes, conv3d


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


FRAMES, WEIGHT, BIAS = _numbers(2, 8, 5, 6, 7), _numbers(4, 8, 3, 3, 3), _numbers(4)
LAYOUTS = (torch.contiguous_format, torch.channels_last_3d)


@torch.inference_mode()
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("bias", [None, BIAS], ids=["plain", "bias"])
@pytest.mark.parametrize(
    ("stride", "padding"), [((1, 1, 1), (0, 0, 0)), ((1, 1, 1), (0, 1, 1)), ((2, 1, 1), (1, 0, 0))]
)
def test_result_is_pytorch_s_within_rounding(
    layout: torch.memory_format, bias: Tensor | None, stride: Sizes, padding: Sizes
) -> None:
    frames = FRAMES.contiguous(memory_format=layout)
    found = conv3d(frames, WEIGHT, bias, stride=stride, padding=padding)
    expected = functional.conv3d(FRAMES, WEIGHT, bias, stride, padding)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


@torch.inference_mode()
def test_frames_give_the_same_bits_in_either_layout() -> None:
    plain, last = (conv3d(FRAMES.contiguous(memory_format=each), WEIGHT, BIAS) for each in LAYOUTS)
    assert torch.equal(plain, last)


def test_gradients_are_pytorch_s() -> None:
    weight = WEIGHT.clone().requires_grad_()
    (found,) = torch.autograd.grad(conv3d(FRAMES, weight, BIAS).sum(), weight)
    (expected,) = torch.autograd.grad(functional.conv3d(FRAMES, weight, BIAS).sum(), weight)
    assert torch.equal(found, expected)
