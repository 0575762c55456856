"""The kernel against its PyTorch reference, in triton-lang's interpreter and on a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from telecine_kernels import adaln_modulate as module
from telecine_kernels.adaln_modulate import adaln_modulate, adaln_modulate_reference

EPS = 1e-6
INTERPRETED = Path(__file__).parent / "run_interpreted.py"


def _inputs(shape: tuple[int, int, int], dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    batch_size, _, width = shape
    x = 3.0 * torch.randn(shape, generator=generator) + 1.0
    shift = torch.randn((batch_size, width), generator=generator)
    scale = torch.randn((batch_size, width), generator=generator)
    return x.to(dtype), shift.to(dtype), scale.to(dtype)


def test_reference_is_layer_norm_then_scale_and_shift() -> None:
    x, shift, scale = _inputs((2, 5, 32), torch.float64)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + EPS).sqrt()
    expected = normed * (1 + scale[:, None]) + shift[:, None]
    actual = adaln_modulate_reference(x, shift, scale, EPS)
    assert actual.dtype == torch.float64
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_cpu_takes_the_reference() -> None:
    x, shift, scale = _inputs((2, 5, 32), torch.bfloat16)
    expected = adaln_modulate_reference(x, shift, scale, EPS)
    assert torch.equal(adaln_modulate(x, shift, scale, EPS), expected)


def test_gradients_flow_through_the_dispatcher() -> None:
    x, shift, scale = (tensor.requires_grad_() for tensor in _inputs((1, 3, 8), torch.float32))
    adaln_modulate(x, shift, scale, EPS).square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (x, shift))


@pytest.mark.skipif(module.triton is None, reason="triton-lang is not installed")
def test_kernel_equals_reference_in_the_interpreter() -> None:
    # The interpreter is chosen when triton-lang is imported, so it gets a process of its own.
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [sys.executable, INTERPRETED], env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 1, 32), (2, 77, 384), (3, 130, 1000), (1, 9, 5120)])
def test_kernel_equals_reference_on_a_gpu(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    x, shift, scale = (tensor.cuda() for tensor in _inputs(shape, dtype))
    with torch.no_grad():
        actual = module.adaln_modulate_kernel(x, shift, scale, EPS)
        expected = adaln_modulate_reference(x, shift, scale, EPS)
    torch.testing.assert_close(actual, expected)
