"""Noisy latents as sampling leaves them: a few of the network's own steps below where it began.

What a network learns from is noise on truth; what it meets in sampling is noise on its own
estimates, whose outlines it takes for true. To learn from where its own steps lead, with the
truth as what to reach (as scheduled sampling, Bengio et al. 2015, does for words), mends them.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

NUM_STEPS = 1
LONGEST = 0.2
"""Of all steps of a sampling these make up so many at most."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""Latents [B, C, T, H, W] and noise levels [B, T] -> velocity."""


class OwnSteps(NamedTuple):
    """Which steps to make.

    Attributes:
        sigmas: noise levels to go through, NUM_STEPS + 1 of [B, T]; a frame whose levels are
            all the same stays as it is.
        fresh: how much of the last noise is drawn anew, 0 to 1 [B, T].
        noise: what is drawn [B, C, T, H, W].
    """

    sigmas: Tensor
    fresh: Tensor
    noise: Tensor


def draw_levels(sigmas: Tensor, shift: float, generator: torch.Generator) -> Tensor:
    """Noise levels [NUM_STEPS + 1, B] down to `sigmas` [B], as sampling would go through them."""
    ends = sigmas / (shift - (shift - 1.0) * sigmas)
    lengths = LONGEST * torch.rand(len(sigmas), generator=generator)
    shares = torch.linspace(1.0, 0.0, NUM_STEPS + 1)[:, None]
    times = (ends + lengths * shares).clamp_max(1.0)
    return shift * times / (1.0 + (shift - 1.0) * times)


def draw_fresh(count: int, generator: torch.Generator) -> Tensor:
    """For every other of so many clips none, for the others any share of new noise."""
    draws = torch.rand(2, count, generator=generator)
    return torch.where(draws[0] < 0.5, 0.0, draws[1])


@torch.no_grad()
def make_steps(predict: Predict, latents: Tensor, steps: OwnSteps) -> Tensor:
    """Latents at the first noise levels -> latents at the last."""
    for sigmas, next_sigmas in pairwise(steps.sigmas):
        velocity = predict(latents, sigmas)
        level, next_level = by_frame(sigmas), by_frame(next_sigmas)
        denoised = latents - level * velocity
        noise = latents + (1.0 - level) * velocity
        latents = (1.0 - next_level) * denoised + next_level * noise
    fresh = by_frame(steps.fresh)
    renewed = (1.0 - fresh.square()).sqrt() * noise + fresh * steps.noise
    return latents + next_level * (renewed - noise)


def by_frame(values: Tensor) -> Tensor:
    """[B, T] as it multiplies latents [B, C, T, H, W]."""
    return values[:, None, :, None, None]
