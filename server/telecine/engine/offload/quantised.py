"""Linear layers in eight bits: a quarter of float32's memory, half of bfloat16's.

A row of the matrix, all that goes into one output, has a scale of its own, so that a row of
small numbers loses no more than one of large ones.
"""

import torch
from torch import Tensor, nn

from telecine.engine.linear import linear

_INT8_MAX = 127.0
_FP8 = torch.float8_e4m3fn
_FP8_MAX = torch.finfo(_FP8).max
_FP8_CAPABILITY = (8, 9)
_SMALLEST = 1e-12
"""A row of zeros needs a scale too."""


class Int8Linear(nn.Module):
    """Weights as integers; they are multiplied in the type of what comes in."""

    weight_int8: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        scale = _row_scale(weight, _INT8_MAX)
        quantised = (weight.float() / scale[:, None]).round().to(torch.int8)
        self.register_buffer("weight_int8", quantised)
        self.register_buffer("scale", scale)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        """[..., in] -> [..., out]; the scale is applied to the few outputs, not the matrix."""
        product = linear(values, self.weight_int8.to(values.dtype))
        product = product * self.scale.to(values.dtype)
        return product if self.bias is None else product + self.bias


class Fp8Linear(nn.Module):
    """Weights and what they are multiplied with as e4m3 floats, by the GPU's own FP8 product."""

    weight_fp8: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        scale = _row_scale(weight, _FP8_MAX)
        self.register_buffer("weight_fp8", (weight.float() / scale[:, None]).to(_FP8))
        self.register_buffer("scale", scale)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, values: Tensor) -> Tensor:
        """[..., in] -> [..., out]; each token has a scale of its own."""
        rows = values.flatten(0, -2)
        scale = _row_scale(rows, _FP8_MAX)
        product = torch._scaled_mm(
            (rows.float() / scale[:, None]).to(_FP8),
            self.weight_fp8.t(),
            scale_a=scale[:, None],
            scale_b=self.scale[None, :],
            out_dtype=values.dtype,
        )
        product = product if self.bias is None else product + self.bias
        return product.unflatten(0, values.shape[:-1])


def require_fp8(device: torch.device) -> None:
    """Check that a device multiplies FP8 numbers.

    Raises:
        ValueError: it does not.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY:
        raise ValueError(f"weights_mode: fp8: {device.type} here has no FP8 product; int8 runs")


def _row_scale(rows: Tensor, largest: float) -> Tensor:
    """[N, K] -> [N] float32: what the rows are divided by to fit."""
    return rows.abs().amax(1).float().clamp(min=_SMALLEST) / largest
