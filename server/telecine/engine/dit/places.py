"""Places in the frame and in the clip, as waves that a linear layer can read."""

import math

import torch
from torch import Tensor

NUM_WAVES = 4


def even_shares(count: int, device: torch.device) -> Tensor:
    """The middles [count] of so many equal parts of 0..1."""
    return (torch.arange(count, device=device) + 0.5) / count


def waves(shares: Tensor) -> Tensor:
    """Shares [N] of a whole -> their sines and cosines [N, 2 * NUM_WAVES]."""
    angles = math.pi * shares[:, None] * 2.0 ** torch.arange(NUM_WAVES, device=shares.device)
    return torch.cat((angles.sin(), angles.cos()), -1)
