"""Classifier-free guidance (Ho and Salimans 2022), and the prompt alone where there is none."""

from collections.abc import Callable
from functools import cache

from torch import Tensor

from telecine.engine.denoise import SamplingConfig, Velocity
from telecine.engine.latents import Latents


def guided(predicted: Tensor, guidance_scale: float) -> Tensor:
    """Predictions [2B, ...], the negative prompt's first -> the guided ones [B, ...]."""
    away, towards = predicted.chunk(2)
    return away + guidance_scale * (towards - away)


class GuidedVelocity:
    """See `telecine.engine.denoise.Velocity`; a prompt's, guided where the job is.

    Either velocity is begun when it is first needed and not derived from the other, so that a
    step's bits do not depend on which steps of its slice come before it.

    Args:
        config: the job's.
        alone: begins the velocity of the prompt.
        both: begins the velocities of the negative prompt and the prompt, in one batch.
    """

    def __init__(
        self,
        config: SamplingConfig,
        *,
        alone: Callable[[], Velocity],
        both: Callable[[], Velocity],
    ) -> None:
        self._guidance_at = config.guidance_at
        self._alone, self._both = cache(alone), cache(both)

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """Latents of one video and their noise level -> velocity."""
        guidance_scale = self._guidance_at(sigma)
        if guidance_scale == 1.0:
            return self._alone()(latents, sigma)
        predicted = self._both()(latents, sigma).packed()
        return latents.unpacked(guided(predicted, guidance_scale))
