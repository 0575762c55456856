"""The diffusion transformer: noisy latents and a prompt to a velocity."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from telecine.engine.audio.audio_stream import AudioStream, AudioStreamConfig
from telecine.engine.dit.adaln import Modulation, TimestepEmbedding, modulate
from telecine.engine.dit.attention import FULL_ATTENTION, KeyValue, TemporalMask
from telecine.engine.dit.block import BlockContext, DiTBlock
from telecine.engine.dit.patch_embed import PatchEmbed, unpatchify
from telecine.engine.dit.places import even_shares
from telecine.engine.dit.rotary import spatial_angles, temporal_angles
from telecine.engine.dit.spans import SPAN_FRAMES, run_in_spans
from telecine.engine.linear import Linear


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of the network; read from transformer/config.json of a weights folder.

    Attributes:
        audio: those of the sound's part; None for a network of pictures alone.
    """

    in_channels: int = 24
    width: int = 192
    num_blocks: int = 8
    num_heads: int = 6
    mlp_ratio: float = 4.0
    patch_size: tuple[int, int, int] = (1, 2, 2)
    prompt_width: int = 192
    pooled_width: int = 192
    audio: AudioStreamConfig | None = None


class Prompt(NamedTuple):
    """An encoded prompt: [B, L, P], [B, Q], and [B, L], True for real tokens."""

    prompt_embeds: Tensor
    pooled_prompt_embeds: Tensor
    attention_mask: Tensor


@dataclass(frozen=True)
class PastFrames:
    """Frames that are done, as later ones see them: keys and values of each block."""

    num_frames: int
    key_values: tuple[KeyValue, ...]


class DiT(nn.Module):
    """Predicts the velocity `noise - clean` of a rectified flow (Liu et al. 2022).

    Attributes:
        runs_in_spans: whether window attention goes through the video span by span, in memory
            that hardly grows with it; not where the frames lie on several ranks.
        audio: the sound's part, which `telecine.engine.audio.joint` runs beside the picture's.
    """

    runs_in_spans = True

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embed = PatchEmbed(config.in_channels, width, config.patch_size)
        self.time_embed = TimestepEmbedding(width, config.pooled_width)
        self.blocks = nn.ModuleList(
            DiTBlock(width, config.num_heads, config.prompt_width, config.mlp_ratio)
            for _ in range(config.num_blocks)
        )
        self.last_modulation = Modulation(width, 2)
        p, q, r = config.patch_size
        self.head = Linear(width, config.in_channels * p * q * r)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.audio = (
            AudioStream(
                config.audio,
                num_blocks=config.num_blocks,
                video_width=width,
                prompt_width=config.prompt_width,
                pooled_width=config.pooled_width,
            )
            if config.audio
            else None
        )

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        pooled_prompt_embeds: Tensor,
        *,
        attention_mask: Tensor,
        temporal_mask: TemporalMask = FULL_ATTENTION,
    ) -> Tensor:
        """Latents [B, C, T, H, W], timesteps in 0..1 -> velocity [B, C, T, H, W].

        The timesteps are [B], or [B, T] where each latent frame has its own. The prompt
        comes as prompt_embeds [B, L, P], pooled_prompt_embeds [B, Q] and attention_mask
        [B, L], which is true for real tokens. The latents are a whole clip's; of those of a
        part of one see `after`.
        """
        prompt = Prompt(prompt_embeds, pooled_prompt_embeds, attention_mask.bool())
        shares = even_shares(self._num_frames(latents), latents.device)
        return self._predict(
            latents, timesteps, prompt, temporal_mask=temporal_mask, frame_shares=shares
        )

    def after(
        self,
        latents: Tensor,
        prompt_embeds: Tensor,
        pooled_prompt_embeds: Tensor,
        *,
        attention_mask: Tensor,
        frame_shares: Tensor,
    ) -> "DiTAfter":
        """Read clean latents [B, C, T, H, W] -> the network for the frames that come after them.

        `frame_shares` [T + what follows] are the places in the whole clip, 0..1, of the frames
        given and of all that follow.
        """
        prompt = Prompt(prompt_embeds, pooled_prompt_embeds, attention_mask.bool())
        tokens = self.patch_embed(latents)
        timesteps = torch.zeros(len(latents), device=latents.device)
        causal = TemporalMask("causal").allowed(self._num_frames(latents), latents.device)
        context = self.context(
            latents, timesteps, prompt, temporal_mask=causal, frame_shares=frame_shares
        )
        key_values = []
        for block in self.blocks:
            tokens, key_value = block(tokens, context)
            key_values.append(key_value)
        # Of all frames, also where this rank's tokens are of some of them alone.
        past = PastFrames(self._num_frames(latents), tuple(key_values))
        return DiTAfter(self, past, frame_shares[past.num_frames :])

    def _predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompt: Prompt,
        *,
        temporal_mask: TemporalMask,
        frame_shares: Tensor,
        past: PastFrames | None = None,
    ) -> Tensor:
        tokens = self.patch_embed(latents)
        num_frames, num_past = tokens.shape[1], past.num_frames if past else 0
        runs_in_spans = self.runs_in_spans and temporal_mask.kind == "window" and not past
        if runs_in_spans and not torch.is_grad_enabled():
            context = self.context(latents, timesteps, prompt, frame_shares=frame_shares)
            for block in self.blocks:
                assert isinstance(block, DiTBlock)
                run_in_spans(block, tokens, context, temporal_mask)
            return self._velocity_in_spans(tokens, context, latents)
        allowed = temporal_mask.allowed(num_frames, latents.device, num_past=num_past)
        context = self.context(
            latents,
            timesteps,
            prompt,
            frame_shares=frame_shares,
            temporal_mask=allowed,
            num_past=num_past,
        )
        for index, block in enumerate(self.blocks):
            tokens, _ = block(tokens, context, past.key_values[index] if past else None)
        return self.velocity(tokens, context, latents)

    def velocity(self, tokens: Tensor, context: BlockContext, latents: Tensor) -> Tensor:
        """Tokens [B, T, S, D] behind all blocks -> velocity of these frames of `latents`."""
        shift, scale = self.last_modulation(context.temb)
        tokens = self.head(modulate(tokens, shift, scale))
        return unpatchify(tokens, self.config.patch_size, *latents.shape[-2:])

    def _velocity_in_spans(self, tokens: Tensor, context: BlockContext, latents: Tensor) -> Tensor:
        depth = self.config.patch_size[0]
        velocity = tokens.new_empty(latents.shape)
        for start in range(0, tokens.shape[1], SPAN_FRAMES):
            span = slice(start, start + SPAN_FRAMES)
            velocity[:, :, depth * span.start : depth * span.stop] = self.velocity(
                tokens[:, span], replace(context, temb=context.temb[:, span]), latents
            )
        return velocity

    def context(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompt: Prompt,
        *,
        frame_shares: Tensor,
        temporal_mask: Tensor | None = None,
        num_past: int = 0,
    ) -> BlockContext:
        """What every block of one pass over `latents` shares; see `forward`."""
        frames, rows, columns = (
            side // patch
            for side, patch in zip(latents.shape[-3:], self.config.patch_size, strict=True)
        )
        if timesteps.ndim == 1:
            timesteps = timesteps[:, None].expand(-1, frames)
        head_dim, device = self.config.width // self.config.num_heads, latents.device
        return BlockContext(
            temb=self.time_embed(timesteps, prompt.pooled_prompt_embeds, frame_shares[:frames]),
            prompt_embeds=prompt.prompt_embeds,
            attention_mask=prompt.attention_mask,
            spatial_rotary_emb=spatial_angles(rows, columns, head_dim, device),
            temporal_rotary_emb=temporal_angles(frames, head_dim, device, first_frame=num_past),
            temporal_mask=temporal_mask,
        )

    def _num_frames(self, latents: Tensor) -> int:
        return latents.shape[2] // self.config.patch_size[0]


class DiTAfter:
    """A DiT on a part of a clip, whose causal passes see what is done without running it again.

    Args:
        dit: the network.
        past: the frames before the part; None at the clip's beginning.
        frame_shares: places in the whole clip, 0..1, of the part's first frame and all after it.
    """

    def __init__(self, dit: DiT, past: PastFrames | None, frame_shares: Tensor) -> None:
        self._dit = dit
        self._past = past
        self._frame_shares = frame_shares

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
        """As `DiT.forward`, for the frames that come next."""
        prompt = Prompt(prompt_embeds, pooled_prompt_embeds, attention_mask.bool())
        return self._dit._predict(
            latents,
            timesteps,
            prompt,
            temporal_mask=temporal_mask,
            frame_shares=self._frame_shares,
            past=self._past,
        )
