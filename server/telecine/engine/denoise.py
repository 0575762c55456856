"""The denoising loop: from one DenoiseState to the next, step by step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from telecine.engine.adapters.use import LoraUse
from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.latents import FinishedFrames, Latents
from telecine.engine.noise import initial_noise, step_noise
from telecine.engine.rollout import Chunk, Rollout, Span, chunk_at, num_chunks
from telecine.engine.samplers import SAMPLERS, StepPlace
from telecine.engine.state import DenoiseState
from telecine.errors import CheckpointError

Conditioning = Mapping[str, Tensor]
"""An encoded prompt, and whatever else steers a video: tensors of the family's own names,
each a batch of one on the denoiser's device."""


@dataclass(frozen=True)
class SamplingConfig:
    """How a video is denoised; the same in each of its slices.

    With a `rollout` every chunk takes `num_inference_steps`.
    """

    seed: int
    num_inference_steps: int
    guidance_scale: float
    sampler: str
    sigmas: tuple[float, ...]
    """Noise levels from 1 to 0, one more than steps."""
    latents_shape: tuple[int, int, int, int, int]
    """[B, C, T, H, W]"""
    fps: int
    audio_latents_shape: tuple[int, ...] | None = None
    is_audio_given: bool = False
    """Whether the sound is there from the start and stays as it is: the picture hears it."""
    temporal_mask: TemporalMask = FULL_ATTENTION
    rollout: Rollout | None = None
    loras: tuple[LoraUse, ...] = ()
    """Adapters on the network while it denoises; what it computes once a slice depends on them."""
    given_frames: int = 0
    """Latent frames that the video begins with and that are not denoised; with a rollout alone."""
    start_step: int = 0
    """Steps that are left out, of every chunk: its latents begin at that noise level."""
    guidance_floor: float = 0.0
    """Below it no picture, nor sound along with it, is guided; sound for a finished one is."""

    @property
    def num_steps(self) -> int:
        """Steps of the whole job, those that are left out included."""
        return self.num_inference_steps * num_chunks(self.rollout, self._span)

    def guidance_at(self, sigma: float) -> float:
        """The strength of guidance at a noise level; 1, none, where only outlines are left.

        There it does harm (Kynkaanniemi et al. 2024).
        """
        return self.guidance_scale if sigma >= self.guidance_floor else 1.0

    def chunk_at(self, step_index: int) -> Chunk:
        """The chunk that is denoised after `step_index` steps."""
        return chunk_at(
            self.rollout,
            self._span,
            step_index=step_index,
            num_inference_steps=self.num_inference_steps,
        )

    def first_step_from(self, step_index: int) -> int:
        """The steps that count as done before the next one: what is left out is skipped."""
        return max(step_index, self.chunk_at(step_index).first_step + self.start_step)

    @property
    def _span(self) -> Span:
        return Span(self.latents_shape[2], self.given_frames)


class ClipStart(NamedTuple):
    """What a video is made from instead of noise alone."""

    given: Tensor | None = None
    """Latents [1, C, T, H, W] of the frames that it begins with: `config.given_frames` of them."""
    source: Tensor | None = None
    """Latents [1, C, T, H, W] of the whole video that it changes, as `config.start_step` says."""
    given_audio: Tensor | None = None
    """Latents [1, C, A] of the sound that it is made to, where `config.is_audio_given`."""


FROM_NOISE = ClipStart()


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


class Velocity(Protocol):
    """A family's network at work on one job: prompt, guidance and all but the latents bound."""

    def __call__(self, latents: Latents, sigma: float) -> Latents:
        """Latents and their noise level -> the velocity `noise - clean`, of the same shapes."""
        ...


class Denoiser(Protocol):
    """The network of a family, loaded."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Its networks, by the part of the weights folder that they are of."""
        ...

    def begin(
        self,
        prompt: Conditioning,
        negative_prompt: Conditioning | None,
        config: SamplingConfig,
        *,
        context: FinishedFrames | None = None,
    ) -> Velocity:
        """Do, once, what every step of a slice shares.

        With a `negative_prompt` the velocity is guided by `config.guidance_scale`
        (classifier-free guidance, Ho and Salimans 2022).

        Args:
            prompt: what to steer towards.
            negative_prompt: what to steer away from.
            config: the job's.
            context: what the frames to denoise come after; None at the beginning.

        Raises:
            ValueError: the network cannot denoise chunk by chunk, or the conditioning does
                not fit it.
        """
        ...


def initial_state(
    config: SamplingConfig, device: torch.device, start: ClipStart = FROM_NOISE
) -> DenoiseState:
    """The state before the first step: noise, with what is given or what is to be changed.

    Raises:
        ValueError: the latents of `start` do not fit the job.
    """
    noise_shape = None if config.is_audio_given else config.audio_latents_shape
    noise = initial_noise(config.latents_shape, config.seed, audio_shape=noise_shape)
    audio = _given_audio(config, start) if config.is_audio_given else noise.audio
    return DenoiseState(
        latents=_first_latents(noise.video, config, start).to(device),
        audio_latents=None if audio is None else audio.to(device),
        step_index=0,
        seed=config.seed,
        sampler=config.sampler,
        num_inference_steps=config.num_inference_steps,
    )


def _first_latents(noise: Tensor, config: SamplingConfig, start: ClipStart) -> Tensor:
    """All on the CPU: the same bits whatever the device."""
    latents = noise
    if start.source is not None:
        source = start.source.cpu().float()
        if source.shape != noise.shape:
            raise ValueError(f"source: latents {tuple(source.shape)}, not {tuple(noise.shape)}")
        # SDEdit (Meng et al. 2022) on the flow's path.
        sigma = config.sigmas[config.start_step]
        latents = (1.0 - sigma) * source + sigma * noise
    if config.given_frames:
        shape = (*noise.shape[:2], config.given_frames, *noise.shape[3:])
        if start.given is None or start.given.shape != shape:
            raise ValueError(f"given: latents of the first {config.given_frames} frames are due")
        latents = torch.cat((start.given.cpu().float(), latents[:, :, config.given_frames :]), 2)
    return latents


def _given_audio(config: SamplingConfig, start: ClipStart) -> Tensor:
    audio = start.given_audio
    if audio is None or tuple(audio.shape) != config.audio_latents_shape:
        found = None if audio is None else tuple(audio.shape)
        raise ValueError(f"given_audio: latents {found}, not {config.audio_latents_shape}")
    return audio.cpu().float()


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

    Raises:
        CheckpointError: `state` belongs to another seed, sampler or number of steps.
    """
    _check_same_job(state, config)
    state = replace(state, step_index=config.first_step_from(state.step_index))
    chunk = config.chunk_at(state.step_index)
    last = min(state.step_index + num_steps, chunk.end_step)
    if state.step_index >= last:
        return
    has_context = chunk.context_start < chunk.first_frame
    velocity = denoiser.begin(
        prompt,
        negative_prompt,
        config,
        context=(
            FinishedFrames(chunk.context_of(state.latents), chunk.first_frame)
            if has_context
            else None
        ),
    )
    while state.step_index < last:
        output = _take_step(velocity, state, chunk, config=config)
        state = output.state
        yield output


def _take_step(
    velocity: Velocity, state: DenoiseState, chunk: Chunk, *, config: SamplingConfig
) -> StepOutput:
    # Sound that is given is no part of what the sampler moves.
    moving_audio = None if config.is_audio_given else state.audio_latents
    latents = Latents(chunk.of(state.latents), moving_audio)
    packed, chunk_step = latents.packed(), state.step_index - chunk.first_step
    place = StepPlace(
        sigma=config.sigmas[chunk_step],
        next_sigma=config.sigmas[chunk_step + 1],
        noise=partial(_noise_like, packed, config.seed, state.step_index),
        sampler_state=state.sampler_state if chunk_step > config.start_step else {},
    )

    def predict(values: Tensor, sigma: float) -> Tensor:
        noisy = latents.unpacked(values)
        if not config.is_audio_given:
            return velocity(noisy, sigma).packed()
        return velocity(Latents(noisy.video, state.audio_latents), sigma).video

    step = SAMPLERS[config.sampler].step(predict, packed, place)
    moved, denoised = latents.unpacked(step.latents), latents.unpacked(step.denoised).video
    step_index = state.step_index + 1
    return StepOutput(
        step_index=step_index,
        sigma=place.next_sigma,
        denoised=torch.cat((state.latents[:, :, : chunk.first_frame], denoised), 2),
        state=replace(
            state,
            latents=_with_chunk(state.latents, chunk, moved.video),
            audio_latents=state.audio_latents if config.is_audio_given else moved.audio,
            step_index=step_index,
            sampler_state=step.sampler_state,
        ),
        num_final_frames=chunk.end_frame if step_index == chunk.end_step else chunk.first_frame,
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
