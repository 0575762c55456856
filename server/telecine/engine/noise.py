"""The noise initializer: all randomness of a video, a function of its seed and the step.

Noise is drawn on the CPU whatever the device, so that a job that moves to another
kind of machine goes on from the same numbers.
"""

import hashlib

import torch
from torch import Tensor

_INITIAL = -1


def initial_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """The latents a video starts from: [B, C, T, H, W] float32, unit variance."""
    return step_noise(shape, seed, _INITIAL)


def step_noise(shape: tuple[int, ...], seed: int, step_index: int) -> Tensor:
    """The noise a stochastic sampler adds in one step; the same for the same seed and step."""
    key = hashlib.blake2b(f"{seed}/{step_index}".encode(), digest_size=8).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(key, "big") >> 1)
    return torch.randn(shape, generator=generator)
