"""AdaLN (Peebles and Xie 2023): the timestep and the pooled prompt steer every block."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.dit.places import NUM_WAVES, waves
from telecine.engine.linear import Linear
from telecine_kernels.adaln_modulate import adaln_modulate

EPS = 1e-6


class TimestepEmbedding(nn.Module):
    """Each frame's timestep, and the pooled prompt, as one vector a frame."""

    def __init__(self, width: int, pooled_width: int, frequencies: int = 128) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.from_timestep = nn.Sequential(
            Linear(2 * frequencies, width), nn.SiLU(), Linear(width, width)
        )
        self.from_pooled = nn.Sequential(
            Linear(pooled_width, width), nn.SiLU(), Linear(width, width)
        )
        self.from_place = Linear(2 * NUM_WAVES, width, bias=False)
        nn.init.zeros_(self.from_place.weight)

    def forward(
        self, timesteps: Tensor, pooled_prompt_embeds: Tensor, frame_shares: Tensor
    ) -> Tensor:
        """[B, T] in 0..1, [B, P], and each frame's place in the clip, [T] in 0..1 -> [B, T, D].

        Attention in time knows distances alone: without its place no frame could tell which
        end of the clip comes first.
        """
        steps = torch.arange(self.frequencies, device=timesteps.device) / self.frequencies
        angles = 1000.0 * timesteps[..., None].float() * torch.exp(-math.log(10000.0) * steps)
        dtype = pooled_prompt_embeds.dtype
        temb: Tensor = self.from_timestep(torch.cat((angles.cos(), angles.sin()), -1).to(dtype))
        temb = temb + self.from_pooled(pooled_prompt_embeds)[:, None]
        return temb + self.from_place(waves(frame_shares).to(dtype))


class Modulation(nn.Module):
    """Turns temb into `count` vectors of the model's width, zero at the start of training."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.linear = Linear(width, count * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, temb: Tensor) -> tuple[Tensor, ...]:
        """[B, T, D] -> `count` times [B, T, D]."""
        modulation: Tensor = self.linear(functional.silu(temb))
        return modulation.chunk(self.count, -1)


def modulate(tokens: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """LayerNorm without weights, then scale and shift: [B, T, S, D] by [B, T, D] each."""
    frames, shift, scale = (tensor.flatten(0, 1) for tensor in (tokens, shift, scale))
    return adaln_modulate(frames, shift, scale, EPS).view_as(tokens)


def gated(tokens: Tensor, gate: Tensor) -> Tensor:
    """[B, T, S, D] times [B, T, D]."""
    return tokens * gate[:, :, None]
