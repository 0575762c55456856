"""UniPC (Zhao et al. 2023), second order, with B(h) = e^h - 1, on the flow's path.

Each step first corrects the latents it was given with the network's answer there,
then predicts the next ones from that answer and the one before.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from telecine.engine.samplers.base import Predict, SamplerStep, StepPlace, flow_levels

# At sigma 1 nothing of the clean latents is left and their log ratio is infinite.
_HIGHEST_SIGMA = 1.0 - 1e-6
_ORDER = 2


class UniPCSampler:
    """One evaluation a step, second order, multistep: its memory is part of the state."""

    def sigmas(self, num_inference_steps: int, shift: float) -> list[float]:
        """Noise levels from 1 to 0, one more than steps."""
        return flow_levels(num_inference_steps, shift)

    def step(self, predict: Predict, latents: Tensor, at: StepPlace) -> SamplerStep:
        """Correct, then predict; the memory is `denoised`, their sigmas and the last latents."""
        memory = _Memory.read(at.sampler_state)
        denoised = latents - at.sigma * predict(latents, at.sigma)
        sigma = min(at.sigma, _HIGHEST_SIGMA)
        if memory.last_latents is not None:
            latents = _correct(memory, denoised, sigma)
        is_last = at.next_sigma == 0.0
        order = 1 if is_last else min(_ORDER, len(memory.denoised) + 1)
        memory = _Memory(
            denoised=(*memory.denoised, denoised)[-_ORDER:],
            sigmas=(*memory.sigmas, sigma)[-_ORDER:],
            last_latents=latents,
            order=order,
        )
        return SamplerStep(_predict(memory, at.next_sigma), denoised, memory.write())


class _Memory(NamedTuple):
    """What earlier steps left: clean estimates with their sigmas, oldest first."""

    denoised: tuple[Tensor, ...]
    sigmas: tuple[float, ...]
    last_latents: Tensor | None
    order: int

    @classmethod
    def read(cls, state: dict[str, Tensor]) -> "_Memory":
        if not state:
            return cls((), (), None, 0)
        sigmas = tuple(state["sigmas"].tolist())
        denoised = tuple(state[f"denoised_{index}"] for index in range(len(sigmas)))
        return cls(denoised, sigmas, state["last_latents"], int(state["order"]))

    def write(self) -> dict[str, Tensor]:
        tensors = {f"denoised_{index}": value for index, value in enumerate(self.denoised)}
        if self.last_latents is not None:
            tensors["last_latents"] = self.last_latents
        tensors["sigmas"] = torch.tensor(self.sigmas, dtype=torch.float64)
        tensors["order"] = torch.tensor(self.order)
        return tensors


def _predict(memory: _Memory, sigma: float) -> Tensor:
    """UniP: from the newest point to `sigma`."""
    assert memory.last_latents is not None
    base, scale, _ = _first_order(memory, memory.last_latents, sigma)
    if memory.order == 1:
        return base
    return base - scale * 0.5 * _slope(memory, sigma)


def _correct(memory: _Memory, denoised: Tensor, sigma: float) -> Tensor:
    """UniC: the latents at `sigma` again, now that the network has answered there."""
    assert memory.last_latents is not None
    base, scale, width = _first_order(memory, memory.last_latents, sigma)
    change = denoised - memory.denoised[-1]
    if memory.order == 1:
        return base - scale * 0.5 * change
    ratio = _ratio(memory, sigma)
    past, present = _corrector_weights(width, ratio)
    return base - scale * (past * _slope(memory, sigma) + present * change)


def _first_order(memory: _Memory, latents: Tensor, sigma: float) -> tuple[Tensor, float, float]:
    """The first-order step, the factor of its corrections, and -h."""
    newest = memory.sigmas[-1]
    width = _log_ratio(newest) - _log_ratio(sigma)
    scale = (1.0 - sigma) * math.expm1(width)
    base = (sigma / newest) * latents - scale * memory.denoised[-1]
    return base, scale, width


def _ratio(memory: _Memory, sigma: float) -> float:
    older, newest = map(_log_ratio, memory.sigmas)
    return (older - newest) / (_log_ratio(sigma) - newest)


def _slope(memory: _Memory, sigma: float) -> Tensor:
    older, newest = memory.denoised
    return (older - newest) / _ratio(memory, sigma)


def _corrector_weights(width: float, ratio: float) -> tuple[float, float]:
    """Solve [[1, 1], [ratio, 1]] w = b, the paper's R and b for order two."""
    growth = math.expm1(width)
    second = growth / width - 1.0
    third = second / width - 0.5
    first_target, second_target = second / growth, 2.0 * third / growth
    past = (first_target - second_target) / (1.0 - ratio)
    return past, first_target - past


def _log_ratio(sigma: float) -> float:
    """Half the log signal-to-noise ratio of the flow at `sigma`; infinite at 0."""
    return math.inf if sigma == 0.0 else math.log((1.0 - sigma) / sigma)
