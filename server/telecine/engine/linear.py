"""Matrix products by the faster of the two libraries that PyTorch brings for a CPU.

`nn.Linear` asks MKL, which leaves AVX-512 unused on a processor that is not Intel's; oneDNN looks
at the instructions alone, and is the slower one where there is no AVX-512 (decision 0042).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"


class Linear(nn.Linear):
    """`nn.Linear`, through `linear`."""

    def forward(self, values: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return linear(values, self.weight, self.bias)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., in] times [out, in], plus [out]; with gradients, in bfloat16 or on a GPU, PyTorch's."""
    if HAS_AVX512 and suits_onednn(values, weight):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(values, weight, bias, "none", [], "")
        return product
    return functional.linear(values, weight, bias)


def suits_onednn(values: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN can take these, and nobody wants gradients."""
    needs_gradients = torch.is_grad_enabled() and (values.requires_grad or weight.requires_grad)
    return (
        values.device.type == "cpu"
        and values.dtype == weight.dtype == torch.float32
        and type(values) is Tensor  # not one that is split over ranks
        and not needs_gradients
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and not torch.compiler.is_compiling()  # which chooses by itself, and knows no such call
    )
