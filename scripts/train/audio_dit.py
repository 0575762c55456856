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
from train.dit import (
    BATCH,
    CAPTION_TOKENS,
    CONTEXT_SIGMA,
    DROPPED_CAPTIONS,
    SIGMA_LEAN,
    SIGMA_SPREAD,
    channel_weights_of,
    tokenize,
)
from train.latents import LatentClips
from train.loop import Metrics, Plan, Trainer
from train.text import TextEncoders
from train.world import caption

POST_SYNC_SHARE = 0.5
HEARING_SHARE = 0.2
AUDIO_SIGMA_LEAN = 0.5
CPU = torch.device("cpu")


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
    clips, sounds = LatentClips(latents_folder), AudioClips(audio_folder)
    clips.refresh()
    tokenizer = PromptTokenizer(weights / "tokenizer", CAPTION_TOKENS)
    text = TextEncoders()
    text.load(weights)
    dit = with_sound(ToyboxFamily(weights).load_dit(CPU), sounds.latents[FPS[0]].shape[1])
    stream = sound_of(dit).requires_grad_(requires_grad=True)
    channel_weights = channel_weights_of(weights)
    plan = Plan(num_steps, adamw_lr=0.0015, decay_share=0.5, ema_decay=0.995, save_every=100)
    trainer = Trainer(stream, state_path, plan)
    trainer.resume()

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        generator = torch.Generator().manual_seed((seed << 32) + step)
        batch = _draw_batch(clips, sounds, tokenizer, generator=generator)
        with torch.no_grad():
            embeds, pooled = text(batch.input_ids, batch.attention_mask)
        prompt = Prompt(embeds, pooled, batch.attention_mask.bool())
        if batch.is_post_sync:
            return _post_sync_loss(dit, batch, prompt)
        return _joint_loss(dit, batch, prompt, channel_weights)

    def after_save() -> None:
        averaged = DiT(dit.config)
        averaged.load_state_dict(dit.state_dict())
        sound_of(averaged).load_state_dict(trainer.averaged.module.state_dict())
        save_part(averaged, averaged.config, weights / "transformer")

    trainer.run(loss_of_step, after_save)


def with_sound(dit: DiT, audio_channels: int) -> DiT:
    """The network with a part for sound, untrained where it had none."""
    if dit.audio is not None:
        return dit
    config = replace(dit.config, audio=AudioStreamConfig(in_channels=audio_channels))
    joint = DiT(config)
    joint.requires_grad_(requires_grad=False)
    missing, unexpected = joint.load_state_dict(dit.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("audio.") for name in missing)
    return joint


@dataclass(frozen=True)
class _Batch:
    """Clips with sound on their way to noise; noise levels are by clip [B]."""

    clean: Latents
    noise: Latents
    sigmas: Tensor
    audio_sigmas: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    fps: int
    is_post_sync: bool
    hears: bool

    @property
    def noisy(self) -> Latents:
        video, audio = self.sigmas[:, None, None, None, None], self.audio_sigmas[:, None, None]
        assert self.clean.audio is not None
        assert self.noise.audio is not None
        return Latents(
            (1 - video) * self.clean.video + video * self.noise.video,
            (1 - audio) * self.clean.audio + audio * self.noise.audio,
        )


def _draw_batch(
    clips: LatentClips,
    sounds: AudioClips,
    tokenizer: PromptTokenizer,
    *,
    generator: torch.Generator,
) -> _Batch:
    def share() -> float:
        return float(torch.rand((), generator=generator))

    fps = FPS[int(torch.randint(len(FPS), (), generator=generator))]
    num_clips = min(len(clips.scenes), len(sounds.latents[fps]))
    chosen = torch.randint(num_clips, (BATCH,), generator=generator)
    clean = Latents(clips.latents[chosen].float(), sounds.latents[fps][chosen].float())
    assert clean.audio is not None
    noise = Latents(
        torch.randn(clean.video.shape, generator=generator),
        torch.randn(clean.audio.shape, generator=generator),
    )
    captions = [caption(clips.scenes[i], generator) for i in chosen.tolist()]
    kept = torch.rand(BATCH, generator=generator) >= DROPPED_CAPTIONS
    is_post_sync = share() < POST_SYNC_SHARE
    normal = torch.randn(BATCH, generator=generator)
    lean = AUDIO_SIGMA_LEAN if is_post_sync else SIGMA_LEAN
    audio_sigmas = torch.sigmoid(SIGMA_SPREAD * normal + lean)
    nearly_clean = CONTEXT_SIGMA * torch.rand(BATCH, generator=generator)
    return _Batch(
        clean,
        noise,
        nearly_clean if is_post_sync else audio_sigmas,
        audio_sigmas,
        *tokenize(tokenizer, captions, kept),
        fps=fps,
        is_post_sync=is_post_sync,
        hears=share() < HEARING_SHARE,
    )


def _post_sync_loss(dit: DiT, batch: _Batch, prompt: Prompt) -> tuple[Tensor, Metrics]:
    noisy = batch.noisy
    assert noisy.audio is not None
    with torch.autocast("cpu", torch.bfloat16):
        sound = SoundOf(
            dit,
            Picture(noisy.video, batch.sigmas, batch.fps),
            prompt,
            num_latents=noisy.audio.shape[2],
        )
        velocity = sound(noisy.audio, batch.audio_sigmas)
    loss = _audio_error(velocity, batch)
    return loss, {"post_sync": loss.item()}


def _joint_loss(
    dit: DiT, batch: _Batch, prompt: Prompt, channel_weights: Tensor
) -> tuple[Tensor, Metrics]:
    with torch.autocast("cpu", torch.bfloat16):
        velocity = predict_jointly(
            dit, batch.noisy, batch.sigmas, prompt, fps=batch.fps, hears=batch.hears
        )
    assert velocity.audio is not None
    loss = _audio_error(velocity.audio, batch)
    if not batch.hears:
        return loss, {"joint": loss.item()}
    error = velocity.video.float() - (batch.noise.video - batch.clean.video)
    picture = (error.square().mean((0, 2, 3, 4)) * channel_weights).mean()
    return loss + picture, {"joint": loss.item(), "picture": picture.item()}


def _audio_error(velocity: Tensor, batch: _Batch) -> Tensor:
    assert batch.noise.audio is not None
    assert batch.clean.audio is not None
    return (velocity.float() - (batch.noise.audio - batch.clean.audio)).square().mean()
