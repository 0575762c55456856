"""The denoising loop: from one DenoiseState to the next, step by step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.noise import initial_noise, step_noise
from telecine.engine.samplers import SAMPLERS, Predict, StepPlace
from telecine.engine.state import DenoiseState
from telecine.errors import CheckpointError


@dataclass(frozen=True)
class Conditioning:
    """An encoded prompt."""

    prompt_embeds: Tensor
    """[B, L, P]"""
    pooled_prompt_embeds: Tensor
    """[B, Q]"""
    attention_mask: Tensor
    """[B, L], nonzero for real tokens."""


@dataclass(frozen=True)
class SamplingConfig:
    """How a video is denoised; the same in each of its slices."""

    seed: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    shift: float
    latents_shape: tuple[int, int, int, int, int]
    """[B, C, T, H, W]"""
    temporal_mask: TemporalMask = FULL_ATTENTION


class StepOutput(NamedTuple):
    """What a finished step shows."""

    step_index: int
    """Steps done, this one included."""
    sigma: float
    """The noise level after the step."""
    denoised: Tensor
    """The clean latents as now estimated: [B, C, T, H, W]."""
    state: DenoiseState


class Denoiser(Protocol):
    """The network of a family, as the loop sees it."""

    def __call__(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        pooled_prompt_embeds: Tensor,
        *,
        attention_mask: Tensor,
        temporal_mask: TemporalMask,
    ) -> Tensor:
        """Latents [B, C, T, H, W] at timesteps [B] or [B, T] -> velocity of the same shape."""
        ...


def initial_state(config: SamplingConfig, device: torch.device) -> DenoiseState:
    """Pure noise, before the first step."""
    return DenoiseState(
        latents=initial_noise(config.latents_shape, config.seed).to(device),
        step_index=0,
        seed=config.seed,
        sampler=config.sampler,
        num_inference_steps=config.num_inference_steps,
    )


def denoise_slice(
    denoiser: Denoiser,
    prompt: Conditioning,
    negative_prompt: Conditioning | None,
    *,
    config: SamplingConfig,
    state: DenoiseState,
    num_steps: int,
) -> Iterator[StepOutput]:
    """Run at most `num_steps` steps from `state`, yielding after each.

    With a `negative_prompt` both are denoised in one batch and guided apart
    (classifier-free guidance, Ho and Salimans 2022).

    Raises:
        CheckpointError: `state` belongs to another seed, sampler or number of steps.
    """
    _check_same_job(state, config)
    sampler = SAMPLERS[config.sampler]
    sigmas = sampler.sigmas(config.num_inference_steps, config.shift)
    predict = _guided(denoiser, prompt, negative_prompt, config)
    last = min(state.step_index + num_steps, config.num_inference_steps)
    for step_index in range(state.step_index, last):
        place = StepPlace(
            sigma=sigmas[step_index],
            next_sigma=sigmas[step_index + 1],
            noise=partial(_noise_like, state.latents, config.seed, step_index),
            sampler_state=state.sampler_state,
        )
        step = sampler.step(predict, state.latents, place)
        state = replace(
            state,
            latents=step.latents,
            step_index=step_index + 1,
            sampler_state=step.sampler_state,
        )
        yield StepOutput(step_index + 1, sigmas[step_index + 1], step.denoised, state)


def _guided(
    denoiser: Denoiser,
    prompt: Conditioning,
    negative_prompt: Conditioning | None,
    config: SamplingConfig,
) -> Predict:
    """The velocity towards the prompt and away from the negative one."""

    def velocity(latents: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        timesteps = torch.full((len(latents),), sigma, device=latents.device)
        return denoiser(
            latents,
            timesteps,
            conditioning.prompt_embeds,
            conditioning.pooled_prompt_embeds,
            attention_mask=conditioning.attention_mask,
            temporal_mask=config.temporal_mask,
        )

    if negative_prompt is None:
        return partial(velocity, conditioning=prompt)
    both = Conditioning(
        torch.cat((negative_prompt.prompt_embeds, prompt.prompt_embeds)),
        torch.cat((negative_prompt.pooled_prompt_embeds, prompt.pooled_prompt_embeds)),
        torch.cat((negative_prompt.attention_mask, prompt.attention_mask)),
    )

    def guided(latents: Tensor, sigma: float) -> Tensor:
        away, towards = velocity(torch.cat((latents, latents)), sigma, both).chunk(2)
        return away + config.guidance_scale * (towards - away)

    return guided


def _noise_like(latents: Tensor, seed: int, step_index: int) -> Tensor:
    return step_noise(tuple(latents.shape), seed, step_index).to(latents)


def _check_same_job(state: DenoiseState, config: SamplingConfig) -> None:
    found = (state.seed, state.sampler, state.num_inference_steps, tuple(state.latents.shape))
    asked = (config.seed, config.sampler, config.num_inference_steps, config.latents_shape)
    if found != asked:
        raise CheckpointError(f"state: of another job: {found}, not {asked}")
