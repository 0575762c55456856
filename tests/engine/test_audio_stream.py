"""Sound beside the picture: one pass for both, or the sound alone for a finished picture."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from telecine.engine.audio.audio_attention import audio_moments, video_moments
from telecine.engine.audio.audio_stream import AudioBlock
from telecine.engine.audio.joint import Picture, SoundOf, predict_jointly
from telecine.engine.audio.post_sync import PostSync
from telecine.engine.denoise import Conditioning, SamplingConfig, denoise_slice, initial_state
from telecine.engine.dit.attention import TemporalMask
from telecine.engine.dit.denoiser import DiTDenoiser, read_prompt
from telecine.engine.dit.model import DiT
from telecine.engine.latents import Latents
from telecine.engine.rollout import Rollout
from telecine.engine.samplers import SAMPLERS
from telecine.engine.state import DenoiseState

CPU = torch.device("cpu")
FPS = 8
VIDEO_SHAPE, AUDIO_SHAPE = (1, 4, 3, 4, 4), (1, 6, 28)


@pytest.fixture(scope="module")
def deaf_dit(joint_dit: DiT) -> DiT:
    """The same, but that its picture takes no notice of the sound: as training begins."""
    model = deepcopy(joint_dit)
    assert model.audio is not None
    for block in model.audio.blocks:
        assert isinstance(block, AudioBlock)
        nn.init.zeros_(block.hearing.output.weight)
        nn.init.zeros_(block.hearing.output.bias)
    return model


def _config(sampler: str = "euler", *, num_steps: int = 4, seed: int = 3) -> SamplingConfig:
    return SamplingConfig(
        seed=seed,
        num_inference_steps=num_steps,
        guidance_scale=3.0,
        sampler=sampler,
        sigmas=tuple(SAMPLERS[sampler].sigmas(num_steps, 2.0)),
        latents_shape=VIDEO_SHAPE,
        fps=FPS,
        audio_latents_shape=AUDIO_SHAPE,
    )


def _latents() -> Latents:
    generator = torch.Generator().manual_seed(1)
    return Latents(
        torch.randn(VIDEO_SHAPE, generator=generator), torch.randn(AUDIO_SHAPE, generator=generator)
    )


def _predict(
    dit: DiT, latents: Latents, prompt: Conditioning, *, audio_timesteps: Tensor | None = None
) -> Latents:
    return predict_jointly(
        dit,
        latents,
        torch.full((1,), 0.5),
        read_prompt(prompt),
        fps=FPS,
        audio_timesteps=audio_timesteps,
    )


def test_both_velocities_have_the_shapes_of_their_latents(
    joint_dit: DiT, prompt: Conditioning
) -> None:
    velocity = _predict(joint_dit, _latents(), prompt)
    assert velocity.video.shape == VIDEO_SHAPE
    assert velocity.audio is not None
    assert velocity.audio.shape == AUDIO_SHAPE


def test_the_sound_sees_the_picture_and_the_picture_hears_the_sound(
    joint_dit: DiT, prompt: Conditioning
) -> None:
    latents = _latents()
    assert latents.audio is not None
    as_it_is = _predict(joint_dit, latents, prompt)
    other_picture = _predict(joint_dit, Latents(latents.video + 1.0, latents.audio), prompt)
    other_sound = _predict(joint_dit, Latents(latents.video, latents.audio + 1.0), prompt)
    assert as_it_is.audio is not None
    assert not torch.allclose(as_it_is.audio, other_picture.audio)
    assert not torch.allclose(as_it_is.video, other_sound.video)


def test_a_picture_that_does_not_hear_is_that_of_the_network_without_sound(
    deaf_dit: DiT, prompt: Conditioning
) -> None:
    latents = _latents()
    alone = deaf_dit(latents.video, torch.full((1,), 0.5), **prompt)
    torch.testing.assert_close(_predict(deaf_dit, latents, prompt).video, alone)


def test_sound_is_as_noisy_as_the_picture_unless_another_level_is_named(
    joint_dit: DiT, prompt: Conditioning
) -> None:
    latents = _latents()
    same, half, clean = (
        _predict(joint_dit, latents, prompt, audio_timesteps=level)
        for level in (None, torch.full((1,), 0.5), torch.zeros(1))
    )
    assert torch.equal(same.packed(), half.packed())
    assert not torch.allclose(same.video, clean.video)


def test_sound_for_a_picture_is_that_of_a_joint_pass_in_which_the_picture_does_not_hear(
    deaf_dit: DiT, prompt: Conditioning
) -> None:
    latents, half = _latents(), torch.full((1,), 0.5)
    assert latents.audio is not None
    sound = SoundOf(
        deaf_dit,
        Picture(latents.video, half, FPS),
        read_prompt(prompt),
        num_latents=AUDIO_SHAPE[2],
    )
    together = _predict(deaf_dit, latents, prompt)
    torch.testing.assert_close(sound(latents.audio, half), together.audio)


def test_sound_far_from_a_picture_does_not_depend_on_it(
    joint_dit: DiT, prompt: Conditioning
) -> None:
    def velocity(latents: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        sound = SoundOf(
            joint_dit,
            Picture(latents, torch.zeros(1), FPS),
            read_prompt(prompt),
            num_latents=audio.shape[2],
            temporal_mask=TemporalMask("window", window_frames=1, anchor_frames=0),
        )
        return sound(audio, torch.full((1,), 0.5))

    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(1, 4, 40, 4, 4, generator=generator)
    audio = torch.randn(1, 6, 490, generator=generator)
    changed = latents.clone()
    changed[:, :, -1] += 5.0
    before, after = velocity(latents, audio), velocity(changed, audio)
    assert torch.equal(before[..., :100], after[..., :100])
    assert not torch.allclose(before[..., -20:], after[..., -20:])


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_joint_latents_are_the_same_bits_after_a_resume_at_every_step(
    sampler: str, joint_dit: DiT, prompt: Conditioning, negative_prompt: Conditioning
) -> None:
    config = _config(sampler)

    def run(state: DenoiseState, num_steps: int) -> DenoiseState:
        steps = denoise_slice(
            DiTDenoiser(joint_dit),
            prompt,
            negative_prompt,
            config=config,
            state=state,
            num_steps=num_steps,
        )
        *_, last = steps
        return last.state

    whole = run(initial_state(config, CPU), 4)
    assert whole.audio_latents is not None
    for cut in (1, 2, 3):
        stored = run(initial_state(config, CPU), cut).to_bytes()
        resumed = run(DenoiseState.from_bytes(stored), 4 - cut)
        assert torch.equal(resumed.latents, whole.latents)
        assert resumed.audio_latents is not None
        assert torch.equal(resumed.audio_latents, whole.audio_latents)


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_post_sync_is_a_function_of_picture_prompt_and_seed(
    sampler: str, joint_dit: DiT, prompt: Conditioning, negative_prompt: Conditioning
) -> None:
    def sound(latents: torch.Tensor, seed: int) -> torch.Tensor:
        config = _config(sampler, seed=seed)
        *before, last = PostSync(joint_dit).denoise(
            prompt, negative_prompt, latents=latents, config=config
        )
        assert len(before) == config.num_inference_steps - 1
        assert not any(torch.equal(each, last) for each in before)
        return last

    picture = _latents().video
    first = sound(picture, 3)
    assert first.shape == AUDIO_SHAPE
    assert torch.equal(first, sound(picture, 3))
    assert not torch.allclose(first, sound(picture, 4))
    assert not torch.allclose(first, sound(picture + 1.0, 3))


def test_sound_cannot_be_denoised_along_chunk_by_chunk(
    joint_dit: DiT, prompt: Conditioning
) -> None:
    rollout = Rollout(chunk_frames=1, context_frames=2)
    config = SamplingConfig(
        **{**_config().__dict__, "rollout": rollout, "temporal_mask": TemporalMask("causal")}
    )
    with pytest.raises(ValueError, match="audio_mode"):
        DiTDenoiser(joint_dit).begin(prompt, None, config)


def test_below_the_guidance_floor_picture_and_sound_are_those_of_the_prompt_alone(
    joint_dit: DiT, prompt: Conditioning, negative_prompt: Conditioning
) -> None:
    config = replace(_config(), guidance_floor=0.5)
    alone = DiTDenoiser(joint_dit).begin(prompt, None, config)(_latents(), 0.4).packed()
    velocity = DiTDenoiser(joint_dit).begin(prompt, negative_prompt, config)
    assert torch.equal(velocity(_latents(), 0.4).packed(), alone)
    assert not torch.allclose(velocity(_latents(), 0.5).packed(), alone, rtol=0.1)


def test_a_network_of_pictures_alone_refuses_sound(dit: DiT, prompt: Conditioning) -> None:
    with pytest.raises(ValueError, match="audio_mode"):
        PostSync(dit)
    with pytest.raises(ValueError, match="audio_mode"):
        _predict(dit, _latents(), prompt)


def test_moments_are_the_middles_of_what_is_shown_and_heard() -> None:
    assert video_moments(3, 4, CPU).tolist() == [0.5, 3.0, 7.0]
    heard = audio_moments(3, latents_per_second=25.0, fps=25, device=CPU)
    assert heard.tolist() == [0.5, 1.5, 2.5]
