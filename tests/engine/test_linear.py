"""Products are the same numbers by whichever library, and those that must be PyTorch's are."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from telecine.engine.linear import HAS_AVX512, Linear, linear


class _Called(TorchDispatchMode):
    """Remembers the operations that ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.names.add(func.overloadpacket._qualified_op_name)
        return func(*args, **(kwargs or {}))


def _numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(64,), (1, 64), (7, 64), (2, 0, 64), (2, 3, 5, 64)])
@pytest.mark.parametrize("bias", [None, _numbers(48)], ids=["plain", "bias"])
def test_product_is_pytorch_s_within_rounding(shape: tuple[int, ...], bias: Tensor | None) -> None:
    values, weight = _numbers(*shape), _numbers(48, 64)
    expected = functional.linear(values, weight, bias)
    torch.testing.assert_close(linear(values, weight, bias), expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_part_of_a_longer_row_of_tokens_is_read_where_it_lies() -> None:
    values, weight = _numbers(2, 9, 64)[:, 2:7], _numbers(64, 48).t()
    torch.testing.assert_close(linear(values, weight), values @ weight.t(), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")
@pytest.mark.skipif(not HAS_AVX512, reason="a processor on which MKL is the faster one")
def test_float32_without_gradients_goes_to_onednn() -> None:
    with _Called() as called:
        Linear(64, 48)(_numbers(3, 64))
    assert "mkldnn::_linear_pointwise" in called.names


def test_gradients_are_pytorch_s() -> None:
    layer, values = Linear(64, 48), _numbers(3, 64).requires_grad_()
    found = torch.autograd.grad(layer(values).sum(), (values, layer.weight))
    product = functional.linear(values, layer.weight, layer.bias)
    expected = torch.autograd.grad(product.sum(), (values, layer.weight))
    assert all(torch.equal(*each) for each in zip(found, expected, strict=True))


@torch.inference_mode()
def test_bfloat16_stays_pytorch_s_to_the_last_bit() -> None:
    values, weight = _numbers(3, 64).bfloat16(), _numbers(48, 64).bfloat16()
    assert torch.equal(linear(values, weight), functional.linear(values, weight))
    with torch.autocast("cpu"):
        assert linear(values.float(), weight.float()).dtype == torch.bfloat16
