"""Samplers against flows whose solution is known."""

import math

import pytest
import torch
from torch import Tensor

from telecine.engine.noise import initial_noise, step_noise
from telecine.engine.samplers import SAMPLERS, Sampler, StepPlace

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


def test_ddpm_and_ancestral_euler_are_stochastic_and_ddim_is_not() -> None:
    exact = SPREAD * initial_noise((20_000,), 3).video

    def likeness(name: str) -> float:
        return torch.corrcoef(torch.stack((_sample(name, 50), exact)))[0, 1].item()

    assert likeness("ddim") > 0.999
    assert likeness("ddpm") < 0.5
    assert likeness("euler_ancestral") < 0.5


def _step(sampler: Sampler, sigma: float, next_sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """What a step makes of a latent of 1 whose velocity is 0.5, and that latent and noise."""
    latents, noise = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.25).double()
    place = StepPlace(sigma, next_sigma, lambda: noise, {})
    return sampler.step(lambda *_: latents / 2, latents, place).latents, latents, noise


@pytest.mark.parametrize(("sigma", "next_sigma"), [(0.9, 0.8), (0.5, 0.1), (0.3, 0.29)])
def test_ddpm_draws_from_its_posterior(sigma: float, next_sigma: float) -> None:
    def scaled(level: float) -> tuple[float, float]:
        norm = math.hypot(1 - level, level)
        return (1 - level) / norm, level / norm

    (alpha, deviation), (next_alpha, next_deviation) = scaled(sigma), scaled(next_sigma)
    found, latents, noise = _step(SAMPLERS["ddpm"], sigma, next_sigma)
    denoised = latents - sigma / 2
    # Ho et al. 2020, equations 6 and 7, in the variance-preserving variables.
    ratio = alpha / next_alpha
    variance = next_deviation**2 / deviation**2 * (1 - ratio**2)
    mean = (
        next_alpha * (1 - ratio**2) * denoised
        + ratio * next_deviation**2 * latents * deviation / sigma
    ) / deviation**2
    expected = (mean + math.sqrt(variance) * noise) * next_sigma / next_deviation
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("sigma", "next_sigma"), [(0.9, 0.88), (0.8, 0.6)])
def test_ancestral_euler_goes_below_the_next_level_and_adds_noise_up_to_it(
    sigma: float, next_sigma: float
) -> None:
    # Karras et al. 2022's variables, clean + deviation * noise: the flow's divided by 1 - sigma.
    deviation, next_deviation = sigma / (1 - sigma), next_sigma / (1 - next_sigma)
    full = next_deviation * math.sqrt(1 - (next_deviation / deviation) ** 2)
    added = min(next_deviation, 1.5 * full)
    lower = math.sqrt(next_deviation**2 - added**2)
    found, latents, noise = _step(SAMPLERS["euler_ancestral"], sigma, next_sigma)
    denoised = latents - sigma / 2
    direction = (latents / (1 - sigma) - denoised) / deviation
    expected = (denoised + lower * direction + added * noise) * (1 - next_sigma)
    torch.testing.assert_close(found, expected)


def test_ancestral_euler_adds_no_noise_where_only_outlines_are_left() -> None:
    sampler = SAMPLERS["euler_ancestral"]
    torch.testing.assert_close(_step(sampler, 0.6, 0.5)[0], _step(SAMPLERS["euler"], 0.6, 0.5)[0])


def test_noise_is_a_function_of_seed_and_step() -> None:
    assert torch.equal(step_noise((4,), 1, 2), step_noise((4,), 1, 2))
    assert not torch.equal(step_noise((4,), 1, 2), step_noise((4,), 1, 3))
    assert not torch.equal(step_noise((4,), 1, 2), step_noise((4,), 2, 2))
