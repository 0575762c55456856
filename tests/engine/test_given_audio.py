"""A picture that is made to a given sound: that stays as it is, and is heard in every step."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from telecine.engine.audio.joint import predict_jointly
from telecine.engine.denoise import (
    ClipStart,
    Conditioning,
    SamplingConfig,
    denoise_slice,
    initial_state,
)
from telecine.engine.dit.denoiser import DiTDenoiser, in_one_batch, read_prompt
from telecine.engine.dit.model import DiT
from telecine.engine.guidance import guided
from telecine.engine.latents import Latents
from telecine.engine.noise import initial_noise
from telecine.engine.samplers import SAMPLERS
from telecine.engine.state import DenoiseState

CPU = torch.device("cpu")
FPS, NUM_STEPS, GUIDANCE_SCALE = 8, 4, 3.0
VIDEO_SHAPE, AUDIO_SHAPE = (1, 4, 3, 4, 4), (1, 6, 28)
Prompts = tuple[Conditioning, Conditioning | None]


def config(sampler: str = "euler") -> SamplingConfig:
    return SamplingConfig(
        seed=3,
        num_inference_steps=NUM_STEPS,
        guidance_scale=GUIDANCE_SCALE,
        sampler=sampler,
        sigmas=tuple(SAMPLERS[sampler].sigmas(NUM_STEPS, 2.0)),
        latents_shape=VIDEO_SHAPE,
        fps=FPS,
        audio_latents_shape=AUDIO_SHAPE,
        is_audio_given=True,
    )


def track(seed: int) -> Tensor:
    return torch.randn(AUDIO_SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[True, False], ids=["guided", "unguided"])
def prompts(
    request: pytest.FixtureRequest, prompt: Conditioning, negative_prompt: Conditioning
) -> Prompts:
    return prompt, negative_prompt if request.param else None


def run(
    dit: DiT, prompts: Prompts, job: SamplingConfig, state: DenoiseState, num_steps: int = NUM_STEPS
) -> DenoiseState:
    steps = denoise_slice(DiTDenoiser(dit), *prompts, config=job, state=state, num_steps=num_steps)
    *_, last = steps
    return last.state


def begun(job: SamplingConfig, audio: Tensor) -> DenoiseState:
    return initial_state(job, CPU, ClipStart(given_audio=audio))


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_sound_stays_as_it_was_given_and_another_one_gives_another_picture(
    sampler: str, joint_dit: DiT, prompts: Prompts
) -> None:
    job = config(sampler)
    made, other = (run(joint_dit, prompts, job, begun(job, track(seed))) for seed in (1, 2))
    assert made.audio_latents is not None
    assert torch.equal(made.audio_latents, track(1))
    assert made.latents.isfinite().all()
    assert not torch.allclose(made.latents, other.latents)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_picture_is_the_same_bits_after_a_resume_at_every_step(
    sampler: str, joint_dit: DiT, prompts: Prompts
) -> None:
    job = config(sampler)
    whole = run(joint_dit, prompts, job, begun(job, track(1)))
    for cut in (1, 2, 3):
        stored = run(joint_dit, prompts, job, begun(job, track(1)), cut).to_bytes()
        resumed = run(joint_dit, prompts, job, DenoiseState.from_bytes(stored), NUM_STEPS - cut)
        assert resumed.to_bytes() == whole.to_bytes()


def test_both_prompts_hear_the_sound_without_noise_in_every_step(
    joint_dit: DiT, prompt: Conditioning, negative_prompt: Conditioning
) -> None:
    job, audio = config(), track(1)
    state = begun(job, audio)
    both = read_prompt(in_one_batch(prompt, negative_prompt))
    for sigma, next_sigma in zip(job.sigmas, job.sigmas[1:], strict=False):
        velocity = predict_jointly(
            joint_dit,
            Latents(state.latents, audio).rows(2),
            torch.full((2,), sigma),
            both,
            fps=FPS,
            audio_timesteps=torch.zeros(2),
        )
        expected = state.latents + (next_sigma - sigma) * guided(velocity.video, GUIDANCE_SCALE)
        state = run(joint_dit, (prompt, negative_prompt), job, state, 1)
        torch.testing.assert_close(state.latents, expected)


def test_picture_begins_as_the_same_noise_whatever_is_given() -> None:
    job = config()
    noise = initial_noise(VIDEO_SHAPE, job.seed, audio_shape=AUDIO_SHAPE)
    given = begun(job, track(1))
    assert torch.equal(given.latents, noise.video)
    made = initial_state(replace(job, is_audio_given=False), CPU)
    assert made.audio_latents is not None
    assert noise.audio is not None
    assert torch.equal(made.audio_latents, noise.audio)


@pytest.mark.parametrize("audio", [None, track(1)[..., :27]])
def test_sound_that_does_not_fit_the_video_is_refused(audio: Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"given_audio: latents .*, not \(1, 6, 28\)"):
        initial_state(config(), CPU, ClipStart(given_audio=audio))
