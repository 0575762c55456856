"""DDPM and DDIM on the flow's network, through an exact change of variables.

The variance-preserving path `alpha * clean + s * noise` with alpha^2 + s^2 = 1 is the
flow's path divided by sqrt((1 - sigma)^2 + sigma^2), so that sigma = s / (alpha + s):
the same network serves both, and only the schedule and the step differ.
"""

import math

from torch import Tensor

from telecine.engine.samplers.base import Predict, SamplerStep, StepPlace

_FIRST_ANGLE = 0.5 * math.pi * 0.995
"""A cosine schedule starts just before pure noise, where alpha would be zero."""


class VariancePreservingSampler:
    """DDIM (Song et al. 2021): `eta` 0 is deterministic, 1 is DDPM (Ho et al. 2020)."""

    def __init__(self, eta: float) -> None:
        self._eta = eta

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:  # noqa: ARG002
        """The cosine schedule (Nichol and Dhariwal 2021) as the flow's noise levels.

        The cosine spends its steps where `shift` would move them; `shift` is not used.
        """
        angles = [_FIRST_ANGLE * (1 - k / num_inference_steps) for k in range(num_inference_steps)]
        ratios = [math.sin(angle) / (math.cos(angle) + math.sin(angle)) for angle in angles]
        return [1.0, *ratios[1:], 0.0]

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Step along the variance-preserving path and return to the flow's variables."""
        velocity = predict(latents, at.sigma)
        denoised = latents - at.sigma * velocity
        predicted_noise = latents + (1.0 - at.sigma) * velocity
        fresh = self._eta * _fresh_noise_share(at.sigma, at.next_sigma)
        direction = math.sqrt(1.0 - fresh * fresh) * predicted_noise
        if fresh > 0.0:
            direction = direction + fresh * at.noise()
        moved = (1.0 - at.next_sigma) * denoised + at.next_sigma * direction
        return SamplerStep(moved, denoised, at.sampler_state)


def _fresh_noise_share(sigma: float, next_sigma: float) -> float:
    """The part of the next level's noise that DDPM's posterior draws anew, 0 to 1."""
    if next_sigma == 0.0:
        return 0.0
    alpha, deviation = _variance_preserving(sigma)
    next_alpha, _ = _variance_preserving(next_sigma)
    # beta~ = (s'^2 / s^2) (1 - alpha^2 / alpha'^2), as a share of s'^2.
    return math.sqrt(1.0 - (alpha / next_alpha) ** 2) / deviation


def _variance_preserving(sigma: float) -> tuple[float, float]:
    norm = math.hypot(1.0 - sigma, sigma)
    return (1.0 - sigma) / norm, sigma / norm
