"""Samplers against flows whose solution is known."""

import math

import pytest
import torch
from torch import Tensor

from telecine.engine.noise import initial_noise, step_noise
from telecine.engine.samplers import SAMPLERS, StepPlace

SPREAD = 2.0


def _gaussian_velocity(latents: Tensor, sigma: float) -> Tensor:
    """The exact velocity when clean latents are normal with deviation SPREAD."""
    variance = (1 - sigma) ** 2 * SPREAD**2 + sigma**2
    return latents * (sigma - (1 - sigma) * SPREAD**2) / variance


def _sample(name: str, num_steps: int, count: int = 20_000) -> Tensor:
    sampler = SAMPLERS[name]
    shape = (count,)
    latents = initial_noise(shape, 3).video
    sigmas = sampler.sigmas(num_steps, 1.0)
    state: dict[str, Tensor] = {}
    for index in range(num_steps):

        def noise(step_index: int = index) -> Tensor:
            return step_noise(shape, 3, step_index)

        place = StepPlace(sigmas[index], sigmas[index + 1], noise, state)
        latents, _, state = sampler.step(_gaussian_velocity, latents, place)
    return latents


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_schedule_falls_from_noise_to_clean(name: str) -> None:
    sigmas = SAMPLERS[name].sigmas(10, 2.0)
    assert len(sigmas) == 11
    assert sigmas[0] == 1.0
    assert sigmas[-1] == 0.0
    assert sigmas == sorted(sigmas, reverse=True)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_samples_have_the_data_s_spread(name: str) -> None:
    assert _sample(name, 200).std().item() == pytest.approx(SPREAD, rel=0.03)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("unipc", 2)])
def test_error_falls_with_the_method_s_order(name: str, order: int) -> None:
    exact = SPREAD * initial_noise((20_000,), 3).video
    errors = [(_sample(name, steps) - exact).abs().mean().item() for steps in (20, 40)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.5)


def test_ddpm_is_stochastic_and_ddim_is_not() -> None:
    exact = SPREAD * initial_noise((20_000,), 3).video

    def likeness(name: str) -> float:
        return torch.corrcoef(torch.stack((_sample(name, 50), exact)))[0, 1].item()

    assert likeness("ddim") > 0.999
    assert likeness("ddpm") < 0.5


def test_noise_is_a_function_of_seed_and_step() -> None:
    assert torch.equal(step_noise((4,), 1, 2), step_noise((4,), 1, 2))
    assert not torch.equal(step_noise((4,), 1, 2), step_noise((4,), 1, 3))
    assert not torch.equal(step_noise((4,), 1, 2), step_noise((4,), 2, 2))
