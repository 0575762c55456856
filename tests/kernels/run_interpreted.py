"""Compares the kernel with its reference in triton-lang's interpreter; run as a program."""

import torch

from telecine_kernels.adaln_modulate import adaln_modulate_kernel, adaln_modulate_reference

EPS = 1e-6


def compare(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Assert that both agree on random tokens of this shape, to the type's precision."""
    batch_size, _, width = shape
    x = (3.0 * torch.randn(shape) + 1.0).to(dtype)
    shift = torch.randn((batch_size, width)).to(dtype)
    scale = torch.randn((batch_size, width)).to(dtype)
    actual = adaln_modulate_kernel(x, shift, scale, EPS)
    torch.testing.assert_close(actual, adaln_modulate_reference(x, shift, scale, EPS))


if __name__ == "__main__":
    torch.manual_seed(0)
    for sizes in [(1, 1, 32), (2, 7, 48), (2, 3, 100)]:
        compare(sizes, torch.float32)
    compare((2, 3, 64), torch.float16)
