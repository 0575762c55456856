"""DDPM, DDIM and ancestral Euler on the flow's network, through an exact change of variables.

The variance-preserving path `alpha * clean + s * noise` with alpha^2 + s^2 = 1 is the
flow's path divided by sqrt((1 - sigma)^2 + sigma^2), so that sigma = s / (alpha + s):
the same network serves both. What is left to choose is where to step, and how much of a level's
noise is drawn anew there.
"""

import math
from collections.abc import Callable

from torch import Tensor

from telecine.engine.samplers.base import Predict, SamplerStep, StepPlace

_FIRST_ANGLE = 0.5 * math.pi * 0.995
"""A cosine schedule starts just before pure noise, where alpha would be zero."""

Levels = Callable[[int, float], list[float]]
"""Number of steps and shift to noise levels, as `Sampler.sigmas` gives them."""


class VariancePreservingSampler:
    """DDIM (Song et al. 2021) where no noise is drawn anew, else DDPM (Ho et al. 2020).

    DDPM's posterior is also what ancestral Euler steps by (Karras et al. 2022, of which it is the
    case without their correction): the two differ in their noise levels alone.

    Args:
        levels: the noise levels.
        eta: how much of the noise that DDPM's posterior draws is drawn; at most all noise is.
        floor: noise levels below this one keep their noise: only outlines are left there, which
            new noise would draw again and again.
    """

    def __init__(self, levels: Levels, *, eta: float, floor: float = 0.0) -> None:
        self._levels = levels
        self._eta = eta
        self._floor = floor

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:
        """Noise levels from 1 to 0, one more than steps."""
        return self._levels(num_inference_steps, shift)

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Step along the variance-preserving path and return to the flow's variables."""
        velocity = predict(latents, at.sigma)
        denoised = latents - at.sigma * velocity
        direction = latents + (1.0 - at.sigma) * velocity
        fresh = self._fresh_noise_share(at)
        if fresh > 0.0:
            direction = math.sqrt(1.0 - fresh * fresh) * direction + fresh * at.noise()
        moved = (1.0 - at.next_sigma) * denoised + at.next_sigma * direction
        return SamplerStep(moved, denoised, at.sampler_state)

    def _fresh_noise_share(self, at: StepPlace) -> float:
        """The part of the next level's noise that is drawn anew, 0 to 1."""
        if at.next_sigma == 0.0 or at.next_sigma < self._floor:
            return 0.0
        # s / alpha, the noise to what is clean, falls to this part of itself.
        fall = at.next_sigma / (1.0 - at.next_sigma) * (1.0 - at.sigma) / at.sigma
        return min(1.0, self._eta * math.sqrt(1.0 - fall * fall))


def cosine_levels(num_inference_steps: int, shift: float) -> list[float]:  # noqa: ARG001
    """The cosine schedule (Nichol and Dhariwal 2021) as the flow's noise levels.

    The cosine spends its steps where `shift` would move them; `shift` is not used.
    """
    angles = [_FIRST_ANGLE * (1 - k / num_inference_steps) for k in range(num_inference_steps)]
    ratios = [math.sin(angle) / (math.cos(angle) + math.sin(angle)) for angle in angles]
    return [1.0, *ratios[1:], 0.0]
