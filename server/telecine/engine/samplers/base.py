"""What a sampler is.

The network predicts the velocity of a rectified flow: with noise level sigma from 1
to 0, latents are `(1 - sigma) * clean + sigma * noise` and the velocity is
`noise - clean`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

Predict = Callable[[Tensor, float], Tensor]
"""Latents [B, C, T, H, W] and sigma to the velocity there."""


class StepPlace(NamedTuple):
    """Where a step stands in its job."""

    sigma: float
    next_sigma: float
    noise: Callable[[], Tensor]
    """Draws the step's own noise, for samplers that add some."""
    sampler_state: dict[str, Tensor]


class SamplerStep(NamedTuple):
    """What one step leaves behind."""

    latents: Tensor
    denoised: Tensor
    """The clean latents as estimated at the step's start."""
    sampler_state: dict[str, Tensor]


class Sampler(Protocol):
    """A step is a function of its arguments alone, so that it can run anywhere."""

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:
        """Noise levels from 1 to 0, one more than steps."""
        ...

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Go from `at.sigma` to `at.next_sigma`."""
        ...


def shifted(sigma: float, shift: float) -> float:
    """Spend more steps at high noise for `shift` > 1 (Esser et al. 2024, section 5.3.2)."""
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def flow_levels(num_inference_steps: int, shift: float) -> list[float]:
    """Evenly spaced noise levels, shifted."""
    steps = range(num_inference_steps + 1)
    return [shifted(1.0 - step / num_inference_steps, shift) for step in steps]
