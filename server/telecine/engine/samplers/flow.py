"""Solvers of the flow's ordinary differential equation, d latents / d sigma = velocity."""

from collections.abc import Callable

from torch import Tensor

from telecine.engine.samplers.base import Predict, SamplerStep, shifted


class _FlowSampler:
    """Evenly spaced noise levels, shifted."""

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:
        """Noise levels from 1 to 0, one more than steps."""
        steps = range(num_inference_steps + 1)
        return [shifted(1.0 - step / num_inference_steps, shift) for step in steps]


class EulerSampler(_FlowSampler):
    """One evaluation a step, first order."""

    def step(
        self,
        predict: Predict,
        latents: Tensor,
        *,
        sigma: float,
        next_sigma: float,
        noise: Callable[[], Tensor],
        sampler_state: dict[str, Tensor],
    ) -> SamplerStep:
        """Follow the velocity in a straight line."""
        velocity = predict(latents, sigma)
        moved = latents + (next_sigma - sigma) * velocity
        return SamplerStep(moved, latents - sigma * velocity, sampler_state)


class HeunSampler(_FlowSampler):
    """Two evaluations a step, second order; one in the last step, which has no far end."""

    def step(
        self,
        predict: Predict,
        latents: Tensor,
        *,
        sigma: float,
        next_sigma: float,
        noise: Callable[[], Tensor],
        sampler_state: dict[str, Tensor],
    ) -> SamplerStep:
        """Follow the mean of the velocities at both ends."""
        velocity = predict(latents, sigma)
        width = next_sigma - sigma
        moved = latents + width * velocity
        if next_sigma > 0.0:
            moved = latents + width * 0.5 * (velocity + predict(moved, next_sigma))
        return SamplerStep(moved, latents - sigma * velocity, sampler_state)


class RungeKuttaSampler(_FlowSampler):
    """The classical fourth-order method; one evaluation in the last step."""

    def step(
        self,
        predict: Predict,
        latents: Tensor,
        *,
        sigma: float,
        next_sigma: float,
        noise: Callable[[], Tensor],
        sampler_state: dict[str, Tensor],
    ) -> SamplerStep:
        """Follow a weighted mean of four velocities along the step."""
        width = next_sigma - sigma
        first = predict(latents, sigma)
        slope = first
        if next_sigma > 0.0:
            middle = sigma + width / 2
            second = predict(latents + width / 2 * first, middle)
            third = predict(latents + width / 2 * second, middle)
            fourth = predict(latents + width * third, next_sigma)
            slope = (first + 2 * second + 2 * third + fourth) / 6
        return SamplerStep(latents + width * slope, latents - sigma * first, sampler_state)
