"""Trains the sound's part of the DiT; the picture's part stays as it is.

Half of the batches are of finished pictures (post-sync), half of pictures as noisy as their
sound (joint). In some of the joint ones the picture learns to hear too.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.audio.joint import Picture, SoundOf, predict_jointly, sound_of
from telecine.engine.dit.model import DiT, Prompt
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.latents import Latents
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.audio_latents import FPS, AudioClips
from train.batches import CONTEXT_SIGMA, DROPPED_CAPTIONS, SIGMA_LEAN, SIGMA_SPREAD, tokenize
from train.captions import any_caption
from train.device import device, moved
from train.dit import LONG_EVERY, channel_weights_of, weighted_error
from train.latents import LONG_NUM_FRAMES, Kind, LatentClips
from train.loop import Metrics, Plan, Trainer, step_generator
from train.precision import autocast
from train.text import load_text
from train.vae import NUM_FRAMES

BATCH, DRAWS = 24, 3
"""Clips of a batch, and noise levels at which the sound of each is learnt."""
KIND_SHARES: dict[Kind, float] = {"shape": 0.5, "face": 0.35, "pair": 0.15}
"""Of a batch's clips: a face's voice has to be heard from a mouth, a pair sounds as one shape."""
POST_SYNC_SHARE = 0.5
HEARING_SHARE = 0.5
"""Of the other batches, those in which the picture hears."""
AUDIO_SIGMA_LEAN = 0.5
FROM_NOTHING = Plan(0, adamw_lr=0.0015, decay_share=0.5, ema_decay=0.995, save_every=100)
FURTHER = Plan(0, muon_lr=0.01, adamw_lr=0.0008, decay_share=1.0, ema_decay=0.995, save_every=100)
"""What has learnt to hear another picture's features learns faster than it did at first."""


def train(
    weights: Path,
    latents_folder: Path,
    audio_folder: Path,
    state_path: Path,
    *,
    num_steps: int,
    seed: int = 0,
) -> None:
    """Train for `num_steps` in all and write transformer/, sound and all."""
    torch.manual_seed(seed)
    data = []
    for length in (NUM_FRAMES, LONG_NUM_FRAMES):
        clips = LatentClips(latents_folder, length)
        clips.refresh()
        data.append((clips, AudioClips(audio_folder, clips)))
    tokenizer, text = load_text(weights)
    picture = ToyboxFamily(weights).load_dit(device())
    had_sound = picture.audio is not None
    dit = with_sound(picture, data[0][1].latents[FPS[0]].shape[1])
    stream = sound_of(dit).requires_grad_(requires_grad=True)
    channel_weights = channel_weights_of(weights)
    plan = replace(FURTHER if had_sound else FROM_NOTHING, num_steps=num_steps)
    trainer = Trainer(stream, state_path, plan)
    trainer.resume()

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        generator = step_generator(seed, step)
        some = data[step % LONG_EVERY == 0]
        batch = moved(_draw_batch(*some, tokenizer, generator=generator))
        prompt = text.prompt(batch.input_ids, batch.attention_mask)
        if not batch.is_post_sync and float(torch.rand((), generator=generator)) < HEARING_SHARE:
            return _joint_loss(dit, batch, prompt, channel_weights)
        return _sound_loss(dit, batch, prompt)

    def after_save() -> None:
        averaged = DiT(dit.config).to(device())
        averaged.load_state_dict(dit.state_dict())
        sound_of(averaged).load_state_dict(trainer.averaged.module.state_dict())
        save_part(averaged, averaged.config, weights / "transformer")

    trainer.run(loss_of_step, after_save)


def with_sound(dit: DiT, audio_channels: int) -> DiT:
    """The network with a part for sound, untrained where it had none."""
    if dit.audio is not None:
        return dit
    config = replace(dit.config, audio=AudioStreamConfig(in_channels=audio_channels))
    joint = DiT(config).to(device())
    joint.requires_grad_(requires_grad=False)
    missing, unexpected = joint.load_state_dict(dit.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("audio.") for name in missing)
    return joint


@dataclass(frozen=True)
class _Batch:
    """Clips with sound on their way to noise.

    Attributes:
        video: clean [B, C, T, H, W], and its noise.
        audio: clean [B, D, A].
        audio_noises: DRAWS of [B, D, A].
        sigmas: noise levels of the picture [B].
        audio_sigmas: of the sound, DRAWS of [B]; the picture's where both are denoised at once.
    """

    video: Tensor
    video_noise: Tensor
    audio: Tensor
    audio_noises: Tensor
    sigmas: Tensor
    audio_sigmas: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    fps: int
    is_post_sync: bool

    @property
    def noisy_video(self) -> Tensor:
        level = self.sigmas[:, None, None, None, None]
        return (1 - level) * self.video + level * self.video_noise


def _draw_batch(
    clips: LatentClips,
    sounds: AudioClips,
    tokenizer: PromptTokenizer,
    *,
    generator: torch.Generator,
) -> _Batch:
    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    fps = FPS[int(torch.randint(len(FPS), (), generator=generator))]
    chosen = torch.tensor([clips.draw_clip(KIND_SHARES, generator) for _ in range(BATCH)])
    video, audio = clips.latents[chosen].float(), sounds.latents[fps][chosen].float()
    captions = [any_caption(clips.scenes[i], generator) for i in chosen.tolist()]
    kept = torch.rand(BATCH, generator=generator) >= DROPPED_CAPTIONS
    is_post_sync = float(torch.rand((), generator=generator)) < POST_SYNC_SHARE
    if is_post_sync:
        sigmas = CONTEXT_SIGMA * torch.rand(BATCH, generator=generator)
        audio_sigmas = torch.sigmoid(SIGMA_SPREAD * normal(DRAWS, BATCH) + AUDIO_SIGMA_LEAN)
    else:
        sigmas = torch.sigmoid(SIGMA_SPREAD * normal(BATCH) + SIGMA_LEAN)
        audio_sigmas = sigmas.expand(DRAWS, -1)
    return _Batch(
        video,
        normal(*video.shape),
        audio,
        normal(DRAWS, *audio.shape),
        sigmas,
        audio_sigmas,
        *tokenize(tokenizer, captions, kept),
        fps=fps,
        is_post_sync=is_post_sync,
    )


def _sound_loss(dit: DiT, batch: _Batch, prompt: Prompt) -> tuple[Tensor, Metrics]:
    """The picture is read once, and the sound of each clip learnt at several noise levels."""
    with autocast():
        picture = Picture(batch.noisy_video, batch.sigmas, batch.fps)
        sound = SoundOf(dit, picture, prompt, num_latents=batch.audio.shape[2])
        errors = [
            _audio_error(sound(_noisy_audio(batch, noise, sigmas), sigmas), batch, noise)
            for noise, sigmas in zip(batch.audio_noises, batch.audio_sigmas, strict=True)
        ]
    loss = torch.stack(errors).mean()
    return loss, {"post_sync" if batch.is_post_sync else "joint": loss.item()}


def _joint_loss(
    dit: DiT, batch: _Batch, prompt: Prompt, channel_weights: Tensor
) -> tuple[Tensor, Metrics]:
    """Both in one pass, in which the picture learns to hear."""
    noise = batch.audio_noises[0]
    latents = Latents(batch.noisy_video, _noisy_audio(batch, noise, batch.sigmas))
    with autocast():
        velocity = predict_jointly(dit, latents, batch.sigmas, prompt, fps=batch.fps)
    assert velocity.audio is not None
    loss = _audio_error(velocity.audio, batch, noise)
    error = velocity.video.float() - (batch.video_noise - batch.video)
    picture = weighted_error(error, channel_weights)
    return loss + picture, {"joint": loss.item(), "picture": picture.item()}


def _noisy_audio(batch: _Batch, noise: Tensor, sigmas: Tensor) -> Tensor:
    level = sigmas[:, None, None]
    return (1 - level) * batch.audio + level * noise


def _audio_error(velocity: Tensor, batch: _Batch, noise: Tensor) -> Tensor:
    return (velocity.float() - (noise - batch.audio)).square().mean()
