"""Trains the picture to hear: sound that is given tells when things are seen.

Only what carries sound into the picture learns, so that a silent picture and the sound of a
finished one stay bit for bit what they were.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from telecine.engine.audio.audio_stream import AudioBlock
from telecine.engine.audio.joint import predict_jointly, sound_of
from telecine.engine.dit.model import DiT, Prompt
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.latents import Latents
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.audio_latents import FPS, AudioClips
from train.batches import CONTEXT_SIGMA, SIGMA_LEAN, SIGMA_SPREAD, tokenize
from train.captions import any_caption
from train.device import device, moved
from train.dit import channel_weights_of, weighted_error
from train.face import VOWELS
from train.latents import LatentClips
from train.loop import Metrics, Plan, Trainer, step_generator
from train.pair import PairScene, moving_of
from train.precision import autocast
from train.text import load_text
from train.world import Scene

BATCH = 16
TIMED_SHARE = 0.75
"""Of a batch: clips that bounce or speak, whose sounds tell the moment."""
GIVEN_SHARE = 0.75
"""Batches whose sound is there; in the others it is as noisy as the picture."""
PLAN = Plan(0, adamw_lr=0.0015, decay_share=0.6, ema_decay=0.99, save_every=50)


def train(
    weights: Path,
    latents_folder: Path,
    audio_folder: Path,
    state_path: Path,
    *,
    num_steps: int,
    seed: int = 0,
) -> None:
    """Train for `num_steps` in all and write transformer/."""
    torch.manual_seed(seed)
    clips = LatentClips(latents_folder)
    clips.refresh()
    sounds = AudioClips(audio_folder, clips)
    tokenizer, text = load_text(weights)
    dit = ToyboxFamily(weights).load_dit(device())
    channel_weights = channel_weights_of(weights)
    trainer = Trainer(Ears(dit), state_path, replace(PLAN, num_steps=num_steps))
    trainer.resume()
    timed = torch.tensor([index for index, scene in enumerate(clips.scenes) if _is_timed(scene)])

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        generator = step_generator(seed, step)
        batch = moved(_draw_batch((clips, sounds), timed, tokenizer, generator))
        prompt = text.prompt(batch.input_ids, batch.attention_mask)
        return _loss(dit, batch, prompt, channel_weights)

    def after_save() -> None:
        averaged = ToyboxFamily(weights).load_dit(device())
        Ears(averaged).load_state_dict(trainer.averaged.module.state_dict())
        save_part(averaged, averaged.config, weights / "transformer")

    trainer.run(loss_of_step, after_save)


class Ears(nn.Module):
    """What is trained: of each block what brings sound to the picture."""

    def __init__(self, dit: DiT) -> None:
        super().__init__()
        self.parts = nn.ModuleList()
        for block in sound_of(dit).blocks:
            assert isinstance(block, AudioBlock)
            self.parts.extend((block.audio_norm, block.hearing_norm, block.hearing))
        self.requires_grad_(requires_grad=True)


@dataclass(frozen=True)
class _Batch:
    """Clips with their sound, on their way to noise.

    Attributes:
        video: clean [B, C, T, H, W], and its noise.
        audio: as noisy as the picture hears it [B, D, A].
        sigmas: noise levels of the picture [B], and of the sound.
    """

    video: Tensor
    noise: Tensor
    sigmas: Tensor
    audio: Tensor
    audio_sigmas: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    fps: int
    is_given: bool


def _draw_batch(
    data: tuple[LatentClips, AudioClips],
    timed: Tensor,
    tokenizer: PromptTokenizer,
    generator: torch.Generator,
) -> _Batch:
    clips, sounds = data
    fps = FPS[int(torch.randint(len(FPS), (), generator=generator))]
    chosen = _choose(timed, len(sounds.latents[fps]), generator)
    video, audio = clips.latents[chosen].float(), sounds.latents[fps][chosen].float()
    sigmas = torch.sigmoid(SIGMA_SPREAD * torch.randn(BATCH, generator=generator) + SIGMA_LEAN)
    is_given = bool(torch.rand((), generator=generator) < GIVEN_SHARE)
    given_sigmas = CONTEXT_SIGMA * torch.rand(BATCH, generator=generator)
    audio_sigmas = given_sigmas if is_given else sigmas
    level = audio_sigmas[:, None, None]
    captions = [any_caption(clips.scenes[index], generator) for index in chosen.tolist()]
    return _Batch(
        video,
        torch.randn(video.shape, generator=generator),
        sigmas,
        (1 - level) * audio + level * torch.randn(audio.shape, generator=generator),
        audio_sigmas,
        *tokenize(tokenizer, captions, torch.ones(BATCH).bool()),
        fps=fps,
        is_given=is_given,
    )


def _choose(timed: Tensor, num_clips: int, generator: torch.Generator) -> Tensor:
    """The clips of a batch [B]: of the timed ones, and any of so many."""
    num_timed = round(TIMED_SHARE * BATCH)
    draws = torch.randint(len(timed), (num_timed,), generator=generator)
    others = torch.randint(num_clips, (BATCH - num_timed,), generator=generator)
    return torch.cat((timed[draws], others))


def _is_timed(scene: Scene | PairScene) -> bool:
    return moving_of(scene).motion in ("bounce", *VOWELS)


def _loss(
    dit: DiT, batch: _Batch, prompt: Prompt, channel_weights: Tensor
) -> tuple[Tensor, Metrics]:
    level = batch.sigmas[:, None, None, None, None]
    latents = Latents((1 - level) * batch.video + level * batch.noise, batch.audio)
    with autocast():
        velocity = predict_jointly(
            dit, latents, batch.sigmas, prompt, fps=batch.fps, audio_timesteps=batch.audio_sigmas
        )
    error = velocity.video.float() - (batch.noise - batch.video)
    loss = weighted_error(error, channel_weights)
    return loss, {"given" if batch.is_given else "joint": loss.item()}
