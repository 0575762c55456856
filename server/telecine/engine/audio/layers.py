"""The causal layers of the audio VAE, over signals of a few steps for each latent.

As in the video's VAE every layer that looks into the past keeps what the next chunk
needs in a `FeatCache`, and a whole signal and its chunks give the same numbers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.vae.layers import FeatCache


class StepLinear(nn.Linear):
    """A linear layer over the channels of every step."""

    def __init__(self, in_channels: int, out_channels: int, steps_per_latent: int) -> None:
        super().__init__(in_channels, out_channels)
        self.steps_per_latent = steps_per_latent

    def forward(self, signal: Tensor) -> Tensor:
        """[B, L, C] -> [B, L, D]."""
        if signal.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return functional.linear(signal, self.weight, self.bias)
        # One product a latent: a matmul of another number of rows may round differently,
        # and chunks must agree with the whole to the last bit.
        latents = signal.reshape(-1, self.steps_per_latent, signal.shape[-1])
        hidden = torch.bmm(latents, self.weight.T.expand(len(latents), -1, -1)) + self.bias
        return hidden.reshape(*signal.shape[:-1], -1)


class StepNorm(nn.Module):
    """RMSNorm over the channels of every step: blind to other steps, so causal."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, signal: Tensor) -> Tensor:
        """[B, L, C] -> [B, L, C]."""
        scale = torch.rsqrt(signal.float().square().mean(-1, keepdim=True) + 1e-6)
        return signal * scale.to(signal.dtype) * self.weight


class CausalStepBlock(nn.Module):
    """A residual block of three taps in time, none in the future."""

    def __init__(self, channels: int, steps_per_latent: int) -> None:
        super().__init__()
        self.norm = StepNorm(channels)
        self.taps = StepLinear(3 * channels, channels, steps_per_latent)
        self.inner_norm = StepNorm(channels)
        self.out = StepLinear(channels, channels, steps_per_latent)
        nn.init.zeros_(self.out.weight)

    def forward(self, signal: Tensor, feat_cache: FeatCache | None = None) -> Tensor:
        """[B, L, C] -> [B, L, C]."""
        hidden = _with_past(functional.silu(self.norm(signal)), feat_cache)
        hidden = functional.silu(self.inner_norm(self.taps(hidden)))
        return signal + self.out(hidden)


def joined(signal: Tensor, factor: int) -> Tensor:
    """Lay neighbouring steps beside each other: [B, L, C] -> [B, L / factor, factor C]."""
    return signal.unflatten(1, (-1, factor)).flatten(2)


def parted(signal: Tensor, factor: int) -> Tensor:
    """Undo `joined`."""
    return signal.unflatten(2, (factor, -1)).flatten(1, 2)


def _with_past(signal: Tensor, feat_cache: FeatCache | None) -> Tensor:
    """Lay the two steps before each step beside it: [B, L, C] -> [B, L, 3C]."""
    past = feat_cache.past() if feat_cache is not None else None
    if past is None:
        past = torch.zeros_like(signal[:, :1]).expand(-1, 2, -1)
    seen = torch.cat((past, signal), 1)
    if feat_cache is not None:
        feat_cache.remember(seen[:, -2:])
    length = signal.shape[1]
    return torch.cat((seen[:, :length], seen[:, 1 : length + 1], signal), 2)
