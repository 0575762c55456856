"""The network: noisy latents, a prompt and a noise level to what leads from noise to clean."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
from telecine.engine.mochi.attention import TextLengths, TokenPair
from telecine.engine.mochi.block import BlockContext, MochiBlock
from telecine.engine.mochi.conditioning import TimeAndPrompt
from telecine.engine.mochi.rotary import rotary_table

_EPS = 1e-6


@dataclass(frozen=True)
class MochiConfig:
    """Sizes of the network, under the names of transformer/config.json."""

    patch_size: int = 2
    num_attention_heads: int = 24
    attention_head_dim: int = 128
    num_layers: int = 48
    pooled_projection_dim: int = 1536
    in_channels: int = 12
    text_embed_dim: int = 4096
    time_embed_dim: int = 256


class Prompt(NamedTuple):
    """What all steps share of the prompts of a batch."""

    text: Tensor
    """Text tokens [B, L, P], the real ones first; L is that of the longest."""
    lengths: TextLengths
    pooled: Tensor
    """[B, D]"""


class MochiTransformer(nn.Module):
    """Predicts `clean - noise` of a rectified flow; module names are the weights' own."""

    def __init__(self, config: MochiConfig) -> None:
        super().__init__()
        self.config = config
        heads, head_dim = config.num_attention_heads, config.attention_head_dim
        width, text_width = heads * head_dim, config.pooled_projection_dim
        self.patch_embed = _PatchEmbed(config.in_channels, width, config.patch_size)
        self.time_embed = TimeAndPrompt(
            prompt_width=config.text_embed_dim,
            text_width=text_width,
            width=width,
            num_waves=config.time_embed_dim,
        )
        self.pos_frequencies = nn.Parameter(torch.zeros(3, heads, head_dim // 2))
        self.transformer_blocks = nn.ModuleList(
            MochiBlock(
                width,
                text_width,
                num_heads=heads,
                head_dim=head_dim,
                is_last=index == config.num_layers - 1,
            )
            for index in range(config.num_layers)
        )
        self.norm_out = _LastNorm(width)
        self.proj_out = Linear(width, config.in_channels * config.patch_size**2)

    def read_prompt(self, prompt_embeds: Tensor, attention_mask: Tensor) -> Prompt:
        """[B, L, T] and [B, L], true for real tokens -> what all steps share."""
        mask = attention_mask.bool()
        tokens = prompt_embeds.to(self.proj_out.weight.dtype)
        counts = tuple(mask.sum(1).tolist())
        # Real tokens first; those behind the longest prompt's are not computed at all.
        order = (~mask).long().argsort(dim=1, stable=True)[:, : max(counts), None]
        text = self.time_embed.caption_proj(tokens.take_along_dim(order, 1))
        return Prompt(text, TextLengths(counts), self.time_embed.pooler(tokens, mask))

    def rotary(self, frames: int, height: int, width: int) -> Tensor:
        """The table for latents of this size, which all steps share."""
        patch = self.config.patch_size
        return rotary_table(
            self.pos_frequencies, frames=frames, rows=height // patch, columns=width // patch
        )

    def forward(
        self, latents: Tensor, timesteps: Tensor, prompt: Prompt, rotary_emb: Tensor
    ) -> Tensor:
        """[B, C, T, H, W], timesteps [B] that rise from 0 to 1000 -> [B, C, T, H, W] float32."""
        video = self.patch_embed(latents.to(prompt.text.dtype))
        temb = self.time_embed.timestep(timesteps, video.dtype) + prompt.pooled
        temb = functional.silu(temb)
        context = BlockContext(temb, rotary_emb, prompt.lengths)
        tokens = TokenPair(video, prompt.text)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        flow = self.proj_out(self.norm_out(tokens.video, temb))
        return self._unpatchify(flow, latents.shape).float()

    def _unpatchify(self, tokens: Tensor, shape: torch.Size) -> Tensor:
        _, _, frames, height, width = shape
        patch = self.config.patch_size
        grid = tokens.unflatten(1, (frames, height // patch, width // patch))
        pixels = grid.unflatten(-1, (patch, patch, -1)).permute(0, 6, 1, 2, 4, 3, 5)
        return pixels.flatten(3, 4).flatten(4, 5)


class _PatchEmbed(nn.Module):
    """Patches of one frame each, in the order frames, rows, columns."""

    def __init__(self, channels: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch_size, patch_size)

    def forward(self, latents: Tensor) -> Tensor:
        """[B, C, T, H, W] -> [B, N, D]."""
        frames = self.proj(latents.transpose(1, 2).flatten(0, 1))
        return frames.flatten(2).transpose(1, 2).unflatten(0, (len(latents), -1)).flatten(1, 2)


class _LastNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Linear(width, 2 * width)

    def forward(self, tokens: Tensor, temb: Tensor) -> Tensor:
        scale, shift = self.linear(temb)[:, None].chunk(2, -1)
        return functional.layer_norm(tokens, tokens.shape[-1:], eps=_EPS) * (1 + scale) + shift
