"""The denoising loop: from one DenoiseState to the next, step by step."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.noise import initial_noise, step_noise
from telecine.engine.numerics import describe_numerics
from telecine.engine.rollout import Chunk, Rollout, chunk_at, num_chunks
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
    """How a video is denoised; the same in each of its slices.

    With a `rollout` every chunk takes `num_inference_steps`.
    """

    seed: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    shift: float
    latents_shape: tuple[int, int, int, int, int]
    """[B, C, T, H, W]"""
    temporal_mask: TemporalMask = FULL_ATTENTION
    rollout: Rollout | None = None

    @property
    def num_steps(self) -> int:
        """Steps of the whole job."""
        return self.num_inference_steps * num_chunks(self.rollout, self.latents_shape[2])

    def chunk_at(self, step_index: int) -> Chunk:
        """The chunk that is denoised after `step_index` steps."""
        return chunk_at(
            self.rollout,
            step_index=step_index,
            num_inference_steps=self.num_inference_steps,
            latent_frames=self.latents_shape[2],
        )


class StepOutput(NamedTuple):
    """What a finished step shows."""

    step_index: int
    """Steps done, this one included."""
    sigma: float
    """The noise level after the step."""
    denoised: Tensor
    """The clean latents as now estimated, up to the chunk in work: [B, C, T, H, W]."""
    state: DenoiseState
    num_final_frames: int
    """Latent frames that no later step changes."""


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


@runtime_checkable
class CausalDenoiser(Denoiser, Protocol):
    """A network that can denoise chunk by chunk."""

    def after(
        self,
        latents: Tensor,
        prompt_embeds: Tensor,
        pooled_prompt_embeds: Tensor,
        *,
        attention_mask: Tensor,
    ) -> Denoiser:
        """Finished latents [B, C, T, H, W] -> the network for the frames after them."""
        ...


def initial_state(config: SamplingConfig, device: torch.device) -> DenoiseState:
    """Pure noise, before the first step."""
    return DenoiseState(
        latents=initial_noise(config.latents_shape, config.seed).to(device),
        step_index=0,
        seed=config.seed,
        sampler=config.sampler,
        num_inference_steps=config.num_inference_steps,
        numerics=describe_numerics(device),
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
    """Run at most `num_steps` steps from `state`, yielding after each; stop at a chunk's end.

    With a `negative_prompt` both are denoised in one batch and guided apart
    (classifier-free guidance, Ho and Salimans 2022).

    Raises:
        CheckpointError: `state` belongs to another seed, sampler or number of steps.
    """
    _check_same_job(state, config)
    chunk = config.chunk_at(state.step_index)
    guidance = _Guidance(denoiser, prompt, negative_prompt, config)
    last = min(state.step_index + num_steps, chunk.end_step)
    if chunk.context_start < chunk.first_frame and state.step_index < last:
        guidance.look_back(chunk.context_of(state.latents))
    while state.step_index < last:
        output = _take_step(guidance.predict, state, chunk, config=config)
        state = output.state
        yield output


def _take_step(
    predict: Predict, state: DenoiseState, chunk: Chunk, *, config: SamplingConfig
) -> StepOutput:
    sampler = SAMPLERS[config.sampler]
    sigmas = sampler.sigmas(config.num_inference_steps, config.shift)
    latents, chunk_step = chunk.of(state.latents), state.step_index - chunk.first_step
    place = StepPlace(
        sigma=sigmas[chunk_step],
        next_sigma=sigmas[chunk_step + 1],
        noise=partial(_noise_like, latents, config.seed, state.step_index),
        sampler_state=state.sampler_state if chunk_step else {},
    )
    step = sampler.step(predict, latents, place)
    step_index = state.step_index + 1
    return StepOutput(
        step_index=step_index,
        sigma=place.next_sigma,
        denoised=torch.cat((state.latents[:, :, : chunk.first_frame], step.denoised), 2),
        state=replace(
            state,
            latents=_with_chunk(state.latents, chunk, step.latents),
            step_index=step_index,
            sampler_state=step.sampler_state,
            numerics=describe_numerics(latents.device),
        ),
        num_final_frames=chunk.end_frame if step_index == chunk.end_step else chunk.first_frame,
    )


class _Guidance:
    """The velocity towards the prompt and away from the negative one."""

    def __init__(
        self,
        denoiser: Denoiser,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
    ) -> None:
        self._denoiser = denoiser
        self._config = config
        self._is_guided = negative_prompt is not None
        self._conditioning = _joined(negative_prompt, prompt) if negative_prompt else prompt

    def look_back(self, latents: Tensor) -> None:
        """Let the passes to come see finished frames [B, C, T, H, W].

        Raises:
            ValueError: the network cannot.
        """
        if not isinstance(self._denoiser, CausalDenoiser):
            raise ValueError("attention: the model cannot denoise chunk by chunk")
        self._denoiser = self._denoiser.after(
            self._doubled(latents),
            self._conditioning.prompt_embeds,
            self._conditioning.pooled_prompt_embeds,
            attention_mask=self._conditioning.attention_mask,
        )

    def predict(self, latents: Tensor, sigma: float) -> Tensor:
        """[B, C, T, H, W] and their noise level -> velocity."""
        latents = self._doubled(latents)
        velocity = self._denoiser(
            latents,
            torch.full((len(latents),), sigma, device=latents.device),
            self._conditioning.prompt_embeds,
            self._conditioning.pooled_prompt_embeds,
            attention_mask=self._conditioning.attention_mask,
            temporal_mask=self._config.temporal_mask,
        )
        if not self._is_guided:
            return velocity
        away, towards = velocity.chunk(2)
        return away + self._config.guidance_scale * (towards - away)

    def _doubled(self, latents: Tensor) -> Tensor:
        return torch.cat((latents, latents)) if self._is_guided else latents


def _joined(first: Conditioning, second: Conditioning) -> Conditioning:
    return Conditioning(
        torch.cat((first.prompt_embeds, second.prompt_embeds)),
        torch.cat((first.pooled_prompt_embeds, second.pooled_prompt_embeds)),
        torch.cat((first.attention_mask, second.attention_mask)),
    )


def _with_chunk(latents: Tensor, chunk: Chunk, denoised: Tensor) -> Tensor:
    before, after = latents[:, :, : chunk.first_frame], latents[:, :, chunk.end_frame :]
    return torch.cat((before, denoised, after), 2)


def _noise_like(latents: Tensor, seed: int, step_index: int) -> Tensor:
    return step_noise(tuple(latents.shape), seed, step_index).to(latents)


def _check_same_job(state: DenoiseState, config: SamplingConfig) -> None:
    found = (state.seed, state.sampler, state.num_inference_steps, tuple(state.latents.shape))
    asked = (config.seed, config.sampler, config.num_inference_steps, config.latents_shape)
    if found != asked:
        raise CheckpointError(f"state: of another job: {found}, not {asked}")
