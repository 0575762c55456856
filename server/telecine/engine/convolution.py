"""Convolutions over frames, by oneDNN wherever it can do them.

PyTorch itself asks oneDNN for large inputs alone; a chunk of a few small frames it unfolds
instead, at a tenth of the speed (decision 0042).
"""

import torch
from torch import Tensor
from torch.nn import functional

from telecine.engine.linear import suits_onednn

_ONES = (1, 1, 1)
Sizes = tuple[int, int, int]
"""In time, height and width."""


def conv3d(
    frames: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sizes = _ONES,
    padding: Sizes = (0, 0, 0),
) -> Tensor:
    """[B, C, T, H, W] by [D, C, t, h, w] -> [B, D, T', H', W'], zeros at the sides.

    On a CPU the channels of the result lie last in memory. Those of `frames` should as well:
    else they are copied.
    """
    if not suits_onednn(frames, weight):
        return functional.conv3d(frames, weight, bias, stride, padding)
    frames = frames.contiguous(memory_format=torch.channels_last_3d)
    return torch.mkldnn_convolution(frames, weight, bias, padding, stride, _ONES, 1)
