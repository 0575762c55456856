"""The transformer: noisy latents to the flow's velocity (Wan team 2025)."""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from telecine.engine.linear import Linear, linear
from telecine.engine.wan.attention import CrossContext
from telecine.engine.wan.block import Block
from telecine.engine.wan.condition_embedder import ConditionEmbedder
from telecine.engine.wan.config import WanConfig
from telecine.engine.wan.modulation import Modulation, modulated_norm
from telecine.engine.wan.rotary import Grid

FLOAT32_PARTS = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Parts of tensors' names that stay in float32 when the rest is in bfloat16."""


class TimestepTable(NamedTuple):
    """Features of S timesteps."""

    temb: Tensor
    """[S, D]"""
    projected: Tensor
    """[S, 6, D]"""

    def modulation(self, rows: list[int], run_lengths: tuple[int, ...]) -> Modulation:
        """Those of one step: a timestep, by its row here, for each run of tokens."""
        return Modulation(self.temb[rows], self.projected[rows], run_lengths)


class WanTransformer(nn.Module):
    """Each part of the work at its own pace: prompts once, timesteps once, latents every step."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_size
        self.patch_embedding = nn.Conv3d(config.in_channels, width, patch, stride=patch)
        self.condition_embedder = ConditionEmbedder(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.proj_out = Linear(width, config.out_channels * math.prod(patch))
        self.scale_shift_table = nn.Parameter(torch.zeros(1, 2, width))

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.patch_embedding.weight.dtype

    def grid(self, latents_shape: tuple[int, ...]) -> Grid:
        """Tokens of latents [B, C, T, H, W]."""
        sizes = zip(latents_shape[2:], self.config.patch_size, strict=True)
        return Grid(*(size // patch for size, patch in sizes))

    def embed_timesteps(self, timesteps: Tensor) -> TimestepTable:
        """Timesteps [S] from 0 to 1000 -> what their steps modulate the tokens by."""
        return TimestepTable(*self.condition_embedder.embed_timesteps(timesteps))

    def embed_prompts(
        self, prompt_embeds: Tensor, image_embeds: Tensor | None = None
    ) -> list[CrossContext]:
        """Text [B, L, text_dim] and an image's features [1, I, C] -> each block's keys and values.

        The tokens behind a prompt's end are all the same. Of those that no prompt of the batch
        reaches one is kept, which stands for all: its scores are raised by the log of their
        number, and the softmax comes out the same.
        """
        kept, bias = _without_repeats(prompt_embeds)
        text = self.condition_embedder.embed_text(kept.to(self.dtype))
        image = None
        if self.condition_embedder.image_embedder is not None:
            if image_embeds is None:
                raise ValueError("image_embeds: the model needs an image")
            image = self.condition_embedder.image_embedder(image_embeds.to(self.dtype))
            image = image.expand(len(text), -1, -1)
        attentions = [cast(Block, block).attn2 for block in self.blocks]
        return [
            CrossContext(
                text=attention.text_keys_values(text),
                text_bias=None if bias is None else bias.to(text),
                image=None if image is None else attention.image_keys_values(image),
            )
            for attention in attentions
        ]

    def forward(
        self,
        latents: Tensor,
        modulation: Modulation,
        *,
        rotary_emb: Tensor,
        contexts: list[CrossContext],
    ) -> Tensor:
        """[1, C, T, H, W] -> velocity [B, C', T, H, W] for the B prompts of `contexts`."""
        grid = self.grid(latents.shape)
        hidden = self._patchify(latents.to(self.dtype), grid)
        for block, context in zip(self.blocks, contexts, strict=True):
            hidden = block(hidden, modulation, rotary_emb, context)
        shift, scale = (self.scale_shift_table + modulation.temb[:, None]).float().unbind(1)
        hidden = modulated_norm(
            hidden, shift, scale, run_lengths=modulation.run_lengths, eps=self.config.eps
        )
        return self._unpatchify(self.proj_out(hidden), grid)

    def _patchify(self, latents: Tensor, grid: Grid) -> Tensor:
        # A convolution whose patches do not overlap is a matrix product, and faster as one.
        depth, rows, columns = self.config.patch_size
        patches = latents.unflatten(4, (grid.columns, columns)).unflatten(3, (grid.rows, rows))
        patches = patches.unflatten(2, (grid.frames, depth)).permute(0, 2, 4, 6, 1, 3, 5, 7)
        patches = patches.flatten(4).flatten(1, 3)
        embedding = self.patch_embedding
        return linear(patches, embedding.weight.flatten(1), embedding.bias)

    def _unpatchify(self, tokens: Tensor, grid: Grid) -> Tensor:
        """[B, N, patch * C'] -> [B, C', T, H, W]."""
        patches = tokens.unflatten(2, (*self.config.patch_size, -1)).unflatten(1, grid)
        return patches.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _without_repeats(prompt_embeds: Tensor) -> tuple[Tensor, Tensor | None]:
    """Drop all but one of the zero rows at all prompts' ends; a bias [1, 1, 1, L] tells how many.

    Returns no bias where nothing could be dropped.
    """
    length = prompt_embeds.shape[1]
    is_text = prompt_embeds.ne(0).any(-1).any(0)
    num_text = int(is_text.nonzero().max()) + 1 if bool(is_text.any()) else 0
    if length - num_text < 2:
        return prompt_embeds, None
    bias = torch.zeros(num_text + 1, device=prompt_embeds.device)
    bias[-1] = math.log(length - num_text)
    return prompt_embeds[:, : num_text + 1], bias.view(1, 1, 1, -1)
