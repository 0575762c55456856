"""The noise initializer: all randomness of a video, a function of its seed and the step.

Noise is drawn on the CPU whatever the device, so that a job that moves to another
kind of machine goes on from the same numbers.
"""

import hashlib

import torch
from torch import Tensor

from telecine.engine.latents import Latents


def initial_noise(
    shape: tuple[int, ...], seed: int, *, audio_shape: tuple[int, ...] | None = None
) -> Latents:
    """The latents a video starts from: float32, unit variance.

    Drawn from one generator, the picture's before the sound's, as diffusers' pipelines do:
    the same seed is the same noise there and here.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    video = torch.randn(shape, generator=generator)
    audio = None if audio_shape is None else torch.randn(audio_shape, generator=generator)
    return Latents(video, audio)


def step_noise(shape: tuple[int, ...], seed: int, step_index: int) -> Tensor:
    """The noise a stochastic sampler adds in one step; the same for the same seed and step."""
    key = hashlib.blake2b(f"{seed}/{step_index}".encode(), digest_size=8).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(key, "big") >> 1)
    return torch.randn(shape, generator=generator)
