"""Solvers of the flow's ordinary differential equation, d latents / d sigma = velocity."""

from torch import Tensor

from telecine.engine.samplers.base import Predict, SamplerStep, StepPlace, flow_levels


class _FlowSampler:
    """Evenly spaced noise levels, shifted."""

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:
        """Noise levels from 1 to 0, one more than steps."""
        return flow_levels(num_inference_steps, shift)


class EulerSampler(_FlowSampler):
    """One evaluation a step, first order."""

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Follow the velocity in a straight line."""
        velocity = predict(latents, at.sigma)
        moved = latents + (at.next_sigma - at.sigma) * velocity
        return SamplerStep(moved, latents - at.sigma * velocity, at.sampler_state)


class HeunSampler(_FlowSampler):
    """Two evaluations a step, second order; one in the last step, which has no far end."""

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Follow the mean of the velocities at both ends."""
        velocity = predict(latents, at.sigma)
        width = at.next_sigma - at.sigma
        moved = latents + width * velocity
        if at.next_sigma > 0.0:
            moved = latents + width * 0.5 * (velocity + predict(moved, at.next_sigma))
        return SamplerStep(moved, latents - at.sigma * velocity, at.sampler_state)


class RungeKuttaSampler(_FlowSampler):
    """The classical fourth-order method; one evaluation in the last step."""

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Follow a weighted mean of four velocities along the step."""
        width = at.next_sigma - at.sigma
        first = predict(latents, at.sigma)
        slope = first
        if at.next_sigma > 0.0:
            middle = at.sigma + width / 2
            second = predict(latents + width / 2 * first, middle)
            third = predict(latents + width / 2 * second, middle)
            fourth = predict(latents + width * third, at.next_sigma)
            slope = (first + 2 * second + 2 * third + fourth) / 6
        return SamplerStep(latents + width * slope, latents - at.sigma * first, at.sampler_state)
