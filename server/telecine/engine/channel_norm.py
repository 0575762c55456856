"""Root mean square norms over channels (Zhang and Sennrich 2019), in few passes on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """With a weight for each channel, of one head or of all heads together."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., D] -> the same shape; float32 on a CPU is overwritten, which saves passes."""
        if hidden.device.type != "cpu" or hidden.dtype != torch.float32:
            return functional.rms_norm(hidden, self.weight.shape, self.weight, self.eps)
        return hidden.mul_(_one_over_rms(hidden, self.eps)).mul_(self.weight)


def scaled_norm(hidden: Tensor, scale: Tensor, eps: float) -> Tensor:
    """Norm of [..., D] in float32, times a scale [..., D] that may be a sample's alone."""
    values = hidden.float()
    if hidden.device.type == "cpu":
        normed = values * _one_over_rms(values, eps)
    else:
        normed = functional.rms_norm(values, values.shape[-1:], eps=eps)
    return normed.mul_(scale).to(hidden.dtype)


def _one_over_rms(hidden: Tensor, eps: float) -> Tensor:
    """[..., D] -> [..., 1]; PyTorch's own norm squares into a tensor as large as its input."""
    length = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
    return length.square_().div_(hidden.shape[-1]).add_(eps).rsqrt_()
