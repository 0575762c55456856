"""Picture and sound in one pass of the DiT, or sound alone for a picture that is there."""

from typing import NamedTuple

import torch
from torch import Tensor

from telecine.engine.audio.audio_attention import Moments
from telecine.engine.audio.audio_stream import AudioBlock, AudioContext, AudioStream, VideoGrid
from telecine.engine.dit.attention import FULL_ATTENTION, KeyValue, TemporalMask
from telecine.engine.dit.block import BlockContext, DiTBlock
from telecine.engine.dit.model import DiT, Prompt
from telecine.engine.dit.places import even_shares
from telecine.engine.dit.spans import run_in_spans
from telecine.engine.latents import Latents


def predict_jointly(
    dit: DiT,
    latents: Latents,
    timesteps: Tensor,
    prompt: Prompt,
    *,
    fps: int,
    audio_timesteps: Tensor | None = None,
) -> Latents:
    """Noisy latents of both and timesteps [B] in 0..1 -> the velocity of both.

    Every frame sees every other. The sound is as noisy as the picture, or as `audio_timesteps` [B]
    say: 0 for sound that is given.

    Raises:
        ValueError: the network has no sound.
    """
    stream, audio_latents = sound_of(dit), latents.audio
    assert audio_latents is not None
    context, grid = _picture(dit, latents.video, timesteps, prompt, fps=fps)
    video = dit.patch_embed(latents.video)
    num_latents = audio_latents.shape[2]
    moments = stream.moments(num_latents, grid, video.device)
    audio_timesteps = timesteps if audio_timesteps is None else audio_timesteps
    temb = stream.temb(audio_timesteps, prompt.pooled_prompt_embeds, num_latents)
    audio_context = AudioContext(temb, prompt.prompt_embeds, prompt.attention_mask, moments)
    audio = stream.tokens(audio_latents)
    for block, audio_block in zip(dit.blocks, stream.blocks, strict=True):
        assert isinstance(audio_block, AudioBlock)
        video, _ = block(video, context)
        audio = audio_block(audio, audio_block.watch(video, moments), audio_context)
        video = audio_block.hear(video, audio, moments)
    return Latents(dit.velocity(video, context, latents.video), stream.velocity(audio, temb))


class Picture(NamedTuple):
    """A picture to make sound for.

    Attributes:
        latents: clean or nearly so, [B, C, T, H, W].
        timesteps: how noisy they are [B], in 0..1.
        fps: frames a second.
    """

    latents: Tensor
    timesteps: Tensor
    fps: int


class SoundOf:
    """The sound's part of the network at work for a picture that is there.

    The picture is read once; each call then costs the sound's own blocks alone.

    Args:
        dit: the network.
        picture: what the sound is for.
        prompt: the encoded prompts, a batch of B.
        num_latents: of the sound.
        temporal_mask: which frames see which.

    Raises:
        ValueError: the network has no sound.
    """

    def __init__(
        self,
        dit: DiT,
        picture: Picture,
        prompt: Prompt,
        *,
        num_latents: int,
        temporal_mask: TemporalMask = FULL_ATTENTION,
    ) -> None:
        latents, timesteps, fps = picture
        self._stream, self._prompt = sound_of(dit), prompt
        context, grid = _picture(
            dit, latents, timesteps, prompt, fps=fps, temporal_mask=temporal_mask
        )
        self._moments = self._stream.moments(num_latents, grid, latents.device)
        self._watched = _watch(dit, latents, context, temporal_mask, moments=self._moments)

    def __call__(self, audio_latents: Tensor, timesteps: Tensor) -> Tensor:
        """Noisy [B, C, A] and timesteps [B] in 0..1 -> velocity [B, C, A]."""
        prompt, stream = self._prompt, self._stream
        temb = stream.temb(timesteps, prompt.pooled_prompt_embeds, audio_latents.shape[2])
        context = AudioContext(temb, prompt.prompt_embeds, prompt.attention_mask, self._moments)
        audio = stream.tokens(audio_latents)
        for block, watched in zip(stream.blocks, self._watched, strict=True):
            audio = block(audio, watched, context)
        return stream.velocity(audio, temb)


def sound_of(dit: DiT) -> AudioStream:
    """The network's part for sound.

    Raises:
        ValueError: it has none.
    """
    if dit.audio is None:
        raise ValueError("audio_mode: the network has no sound, or its frames lie on several ranks")
    return dit.audio


def _picture(
    dit: DiT,
    latents: Tensor,
    timesteps: Tensor,
    prompt: Prompt,
    *,
    fps: int,
    temporal_mask: TemporalMask = FULL_ATTENTION,
) -> tuple[BlockContext, VideoGrid]:
    frames, rows, columns = (
        side // patch for side, patch in zip(latents.shape[-3:], dit.config.patch_size, strict=True)
    )
    allowed = temporal_mask.allowed(frames, latents.device)
    shares = even_shares(frames, latents.device)
    context = dit.context(latents, timesteps, prompt, frame_shares=shares, temporal_mask=allowed)
    return context, VideoGrid(frames, rows * columns, fps)


def _watch(
    dit: DiT,
    latents: Tensor,
    context: BlockContext,
    temporal_mask: TemporalMask,
    *,
    moments: Moments,
) -> list[KeyValue]:
    video, watched = dit.patch_embed(latents), []
    in_spans = temporal_mask.kind == "window" and not torch.is_grad_enabled()
    for block, audio_block in zip(dit.blocks, sound_of(dit).blocks, strict=True):
        assert isinstance(block, DiTBlock)
        assert isinstance(audio_block, AudioBlock)
        if in_spans:
            run_in_spans(block, video, context, temporal_mask)
        else:
            video, _ = block(video, context)
        watched.append(audio_block.watch(video, moments))
    return watched
