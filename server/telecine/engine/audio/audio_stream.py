"""The DiT's tokens of sound, beside those of the picture: in every block each sees the other."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from telecine.engine.audio.audio_attention import (
    Moments,
    TimedAttention,
    audio_moments,
    video_moments,
)
from telecine.engine.dit.adaln import Modulation, TimestepEmbedding, gated, modulate
from telecine.engine.dit.attention import CrossAttention, KeyValue, SelfAttention
from telecine.engine.dit.block import triples
from telecine.engine.dit.places import even_shares
from telecine.engine.linear import Linear


@dataclass(frozen=True)
class AudioStreamConfig:
    """Sizes of the sound's part of the network.

    Attributes:
        in_channels: of the sound's latents.
        latents_per_second: how many there are.
        temporal_scale: frames of the picture that one of its latent frames stands for.
        window_frames: how many frames apart sound and picture, or sound and sound, see each
            other; so that a clip may be longer than those it was trained on.
    """

    in_channels: int = 16
    width: int = 128
    num_heads: int = 4
    mlp_ratio: float = 4.0
    latents_per_second: float = 25.0
    temporal_scale: int = 4
    window_frames: float = 34.0


@dataclass(frozen=True)
class AudioContext:
    """What every block of one pass over the sound shares."""

    temb: Tensor
    """[B, A, D]"""
    prompt_embeds: Tensor
    """[B, L, P]"""
    attention_mask: Tensor
    """[B, L], True for real tokens."""
    moments: Moments


class AudioBlock(nn.Module):
    """One block of the sound's tokens; at the start of training it does nothing."""

    def __init__(self, config: AudioStreamConfig, video_width: int, prompt_width: int) -> None:
        super().__init__()
        width, num_heads = config.width, config.num_heads
        self.modulation = Modulation(width, 9)
        self.self_attention = SelfAttention(width, num_heads)
        self.cross_norm = nn.RMSNorm(width, eps=1e-6)
        self.cross_attention = CrossAttention(width, prompt_width, num_heads)
        self.video_norm = nn.RMSNorm(video_width, eps=1e-6)
        self.watching = TimedAttention(width, video_width, inner_width=width, num_heads=num_heads)
        hidden = int(width * config.mlp_ratio)
        self.mlp = nn.Sequential(
            Linear(width, hidden), nn.GELU(approximate="tanh"), Linear(hidden, width)
        )
        self.audio_norm = nn.RMSNorm(width, eps=1e-6)
        self.hearing_norm = nn.RMSNorm(video_width, eps=1e-6)
        self.hearing = TimedAttention(video_width, width, inner_width=width, num_heads=num_heads)
        nn.init.zeros_(self.cross_attention.output.weight)
        for closed in (self.hearing.output.weight, self.hearing.output.bias):
            nn.init.zeros_(closed)

    def watch(self, video: Tensor, moments: Moments) -> KeyValue:
        """Tokens of the picture [B, T, S, V] -> what the sound sees of them."""
        return self.watching.read(self.video_norm(video.flatten(1, 2)), moments.video_rotary_emb)

    def forward(self, audio: Tensor, watched: KeyValue, context: AudioContext) -> Tensor:
        """[B, A, 1, D] and what `watch` gave -> [B, A, 1, D]."""
        itself, picture, mlp = triples(self.modulation(context.temb))
        moments = context.moments
        tokens = modulate(audio, *itself[:2]).flatten(1, 2)
        attended, _ = self.self_attention.attend(
            tokens, moments.audio_rotary_emb, allowed=moments.audio_to_audio
        )
        audio = audio + gated(attended.view_as(audio), itself[2])
        tokens = modulate(audio, *picture[:2]).flatten(1, 2)
        attended = self.watching.look(
            tokens, watched, moments.audio_rotary_emb, moments.audio_to_video
        )
        audio = audio + gated(attended.view_as(audio), picture[2])
        attended = self.cross_attention(
            self.cross_norm(audio).flatten(1, 2), context.prompt_embeds, context.attention_mask
        )
        audio = audio + attended.view_as(audio)
        return audio + gated(self.mlp(modulate(audio, *mlp[:2])), mlp[2])

    def hear(self, video: Tensor, audio: Tensor, moments: Moments) -> Tensor:
        """Tokens of the picture [B, T, S, V] that know the sound's [B, A, 1, D]."""
        heard = self.hearing.read(self.audio_norm(audio.flatten(1, 2)), moments.audio_rotary_emb)
        looked = self.hearing.look(
            self.hearing_norm(video.flatten(1, 2)),
            heard,
            moments.video_rotary_emb,
            moments.video_to_audio,
        )
        return video + looked.view_as(video)


class VideoGrid(NamedTuple):
    """The picture's tokens: latent frames, tokens of each, and frames a second."""

    latent_frames: int
    num_places: int
    fps: int


class AudioStream(nn.Module):
    """The sound's half of a joint DiT: blocks that go beside the picture's, one by one."""

    def __init__(
        self,
        config: AudioStreamConfig,
        *,
        num_blocks: int,
        video_width: int,
        prompt_width: int,
        pooled_width: int,
    ) -> None:
        super().__init__()
        self.config = config
        self.embed = Linear(config.in_channels, config.width)
        self.time_embed = TimestepEmbedding(config.width, pooled_width)
        self.blocks = nn.ModuleList(
            AudioBlock(config, video_width, prompt_width) for _ in range(num_blocks)
        )
        self.last_modulation = Modulation(config.width, 2)
        self.head = Linear(config.width, config.in_channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def moments(self, num_latents: int, grid: VideoGrid, device: torch.device) -> Moments:
        """When the tokens of a clip of `num_latents` of sound are."""
        config = self.config
        return Moments(
            audio_moments(
                num_latents,
                latents_per_second=config.latents_per_second,
                fps=grid.fps,
                device=device,
            ),
            video_moments(grid.latent_frames, config.temporal_scale, device),
            num_places=grid.num_places,
            window_frames=config.window_frames,
            head_dim=config.width // config.num_heads,
        )

    def tokens(self, audio_latents: Tensor) -> Tensor:
        """[B, C, A] -> [B, A, 1, D]."""
        embedded: Tensor = self.embed(audio_latents.transpose(1, 2))
        return embedded[:, :, None]

    def temb(self, timesteps: Tensor, pooled_prompt_embeds: Tensor, num_latents: int) -> Tensor:
        """[B] in 0..1 and [B, P] -> [B, A, D]."""
        shares = even_shares(num_latents, timesteps.device)
        by_latent = timesteps[:, None].expand(-1, num_latents)
        temb: Tensor = self.time_embed(by_latent, pooled_prompt_embeds, shares)
        return temb

    def velocity(self, tokens: Tensor, temb: Tensor) -> Tensor:
        """[B, A, 1, D] behind all blocks -> velocity [B, C, A]."""
        shift, scale = self.last_modulation(temb)
        predicted: Tensor = self.head(modulate(tokens, shift, scale))
        return predicted[:, :, 0].transpose(1, 2)
