"""The prompt, as the network reads it, and the noise level."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear

_POOL_HEADS = 8
_LONGEST_PERIOD = 10000.0


class PromptPool(nn.Module):
    """One vector of a whole prompt: its mean token looks at all of them."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.to_kv = Linear(width, 2 * width)
        self.to_q = Linear(width, width)
        self.to_out = Linear(width, out_width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, L, P] and [B, L], true for real tokens -> [B, D]."""
        share = mask[..., None].to(tokens.dtype)
        mean = (tokens * (share / share.sum(1, keepdim=True).clamp(min=1))).sum(1, keepdim=True)
        tokens = torch.cat((mean, tokens), 1)
        seen = functional.pad(mask, (1, 0), value=True)[:, None, None]
        key, value = self.to_kv(tokens).unflatten(-1, (2, _POOL_HEADS, -1)).permute(2, 0, 3, 1, 4)
        query = self.to_q(mean).unflatten(-1, (_POOL_HEADS, -1)).transpose(1, 2)
        pooled = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.to_out(pooled.transpose(1, 2).flatten(1))


class TimestepMLP(nn.Module):
    """A timestep's waves to the network's width."""

    def __init__(self, num_waves: int, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(num_waves, width)
        self.linear_2 = Linear(width, width)

    def forward(self, waves: Tensor) -> Tensor:
        """[B, W] -> [B, D]."""
        return self.linear_2(functional.silu(self.linear_1(waves)))


class TimeAndPrompt(nn.Module):
    """Module names are the weights' own."""

    def __init__(self, *, prompt_width: int, text_width: int, width: int, num_waves: int) -> None:
        super().__init__()
        self.num_waves = num_waves
        self.timestep_embedder = TimestepMLP(num_waves, width)
        self.pooler = PromptPool(prompt_width, width)
        self.caption_proj = Linear(prompt_width, text_width)

    def timestep(self, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        """[B] in 0..1000 -> [B, D]."""
        half = self.num_waves // 2
        powers = torch.arange(half, device=timesteps.device, dtype=torch.float32) / half
        angles = timesteps[:, None].float() * torch.exp(-math.log(_LONGEST_PERIOD) * powers)
        return self.timestep_embedder(torch.cat((angles.cos(), angles.sin()), -1).to(dtype))
