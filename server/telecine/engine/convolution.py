"""Convolutions over frames, by oneDNN wherever it can do them.

PyTorch itself asks oneDNN for large inputs alone; a chunk of a few small frames it unfolds
instead, at a tenth of the speed (decision 0042).
"""

from torch import Tensor, mkldnn_convolution
from torch.nn import functional

from telecine.engine.linear import suits_onednn


def conv3d(frames: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[B, T, H, W, C] by [D, C, t, h, w], unpadded -> [B, T', H', W', D].

    The channels lie last: so oneDNN reads and writes them without a copy in its own order.
    """
    planes = frames.movedim(-1, 1)
    if suits_onednn(planes, weight):
        each = (1, 1, 1)
        convolved: Tensor = mkldnn_convolution(planes, weight, bias, (0, 0, 0), each, each, 1)
    else:
        convolved = functional.conv3d(planes, weight, bias)
    return convolved.movedim(1, -1)
