"""Timesteps, text and image features, brought to the width of the tokens."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
from telecine.engine.wan.block import FeedForward
from telecine.engine.wan.config import WanConfig

_MAX_PERIOD = 10000.0


class _TwoLinears(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear_1 = Linear(in_features, out_features)
        self.linear_2 = Linear(out_features, out_features)


class ImageEmbedder(nn.Module):
    """CLIP's features of an image to the width of the tokens."""

    def __init__(self, config: WanConfig, image_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(image_dim)
        self.ff = FeedForward(image_dim, image_dim, config.width, approximate="none")
        self.norm2 = nn.LayerNorm(config.width)
        length = config.pos_embed_seq_len
        self.pos_embed = None if length is None else nn.Parameter(torch.zeros(1, length, image_dim))

    def forward(self, features: Tensor) -> Tensor:
        """[B, I, C] -> [B, I, D]; of a first and a last image, [2, I, C] -> [1, 2 I, D]."""
        if self.pos_embed is not None:
            features = features.reshape(-1, self.pos_embed.shape[1], features.shape[-1])
            features = features + self.pos_embed
        hidden = self.ff(_norm_in_float32(self.norm1, features))
        return _norm_in_float32(self.norm2, hidden)


class ConditionEmbedder(nn.Module):
    """What steers the blocks."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        self.freq_dim = config.freq_dim
        self.time_embedder = _TwoLinears(config.freq_dim, config.width)
        self.time_proj = Linear(config.width, 6 * config.width)
        self.text_embedder = _TwoLinears(config.text_dim, config.width)
        self.image_embedder = (
            None if config.image_dim is None else ImageEmbedder(config, config.image_dim)
        )

    def embed_timesteps(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Timesteps [S] from 0 to 1000 -> their features [S, D], and [S, 6, D] in float32."""
        embedder = self.time_embedder
        waves = _waves(timesteps, self.freq_dim)
        temb = embedder.linear_2(functional.silu(embedder.linear_1(waves)))
        temb = temb.to(self.time_proj.weight.dtype)
        projected = self.time_proj(functional.silu(temb))
        return temb, projected.unflatten(1, (6, -1)).float()

    def embed_text(self, prompt_embeds: Tensor) -> Tensor:
        """[B, L, text_dim] -> [B, L, D]."""
        embedder = self.text_embedder
        hidden = functional.gelu(embedder.linear_1(prompt_embeds), approximate="tanh")
        return embedder.linear_2(hidden)


def _waves(timesteps: Tensor, dim: int) -> Tensor:
    """Sinusoids of the timesteps, cosines first: [S] -> [S, dim] float32."""
    half = dim // 2
    index = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(_MAX_PERIOD) * index / half)
    angles = timesteps[:, None].float() * frequencies
    return torch.cat((angles.cos(), angles.sin()), -1)


def _norm_in_float32(norm: nn.LayerNorm, features: Tensor) -> Tensor:
    weight, bias = norm.weight.float(), norm.bias.float()
    normed = functional.layer_norm(features.float(), weight.shape, weight, bias, norm.eps)
    return normed.to(features.dtype)
