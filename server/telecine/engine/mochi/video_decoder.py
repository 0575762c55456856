"""Latents to frames, chunk by chunk: six frames to a latent frame, of which the first has one.

Every layer is causal in time, so a chunk needs of the past only what the `FeatCache` holds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.convolution import conv3d
from telecine.engine.linear import Linear, linear
from telecine.engine.vae.layers import FeatCache

_NUM_GROUPS = 32


@dataclass(frozen=True)
class MochiVAEConfig:
    """What the decoder needs of vae/config.json, under the names there."""

    latent_channels: int
    out_channels: int
    decoder_block_out_channels: tuple[int, ...]
    layers_per_block: tuple[int, ...]
    temporal_expansions: tuple[int, ...]
    spatial_expansions: tuple[int, ...]
    latents_mean: tuple[float, ...]
    latents_std: tuple[float, ...]
    scaling_factor: float


class MochiVideoDecoder(nn.Module):
    """Module names are those of the weights' `decoder`."""

    def __init__(self, config: MochiVAEConfig) -> None:
        super().__init__()
        self.config = config
        channels, layers = config.decoder_block_out_channels, config.layers_per_block
        self.conv_in = nn.Conv3d(config.latent_channels, channels[-1], 1)
        self.block_in = _Stage(channels[-1], layers[-1])
        self.up_blocks = nn.ModuleList(
            _UpStage(
                channels[index + 1],
                channels[index],
                num_layers=layers[index + 1],
                time=config.temporal_expansions[index],
                space=config.spatial_expansions[index],
            )
            for index in reversed(range(len(channels) - 1))
        )
        self.block_out = _Stage(channels[0], layers[0])
        self.proj_out = Linear(channels[0], config.out_channels)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W]: the chunks, joined."""
        return torch.cat(list(self.decode_chunks(latents)), 2)

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """Frames as [B, 3, 1, H, W], then six at a time; see `VideoVAE.decode_chunks`."""
        feat_cache = FeatCache() if feat_cache is None else feat_cache
        for latent_frame in self._denormalise(latents).split(1, 2):
            is_first = feat_cache.is_empty
            feat_cache.begin_chunk()
            frames = self(latent_frame, feat_cache)
            # All of the first latent frame's frames but the last are of before the clip.
            yield frames[:, :, -1:] if is_first else frames

    def forward(self, latents: Tensor, feat_cache: FeatCache) -> Tensor:
        """The latents as the weights know them -> frames, the first chunk's surplus included."""
        hidden = conv3d(latents, self.conv_in.weight, self.conv_in.bias).movedim(1, -1)
        hidden = self.block_in(hidden, feat_cache)
        for up_block in self.up_blocks:
            hidden = up_block(hidden, feat_cache)
        hidden = functional.silu(self.block_out(hidden, feat_cache), inplace=True)
        return self.proj_out(hidden).movedim(-1, 1).float()

    def _denormalise(self, latents: Tensor) -> Tensor:
        config = self.config
        mean, std = (
            torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return (latents * std / config.scaling_factor + mean).to(self.proj_out.weight.dtype)


class _Stage(nn.Module):
    """Here as in all layers, frames are [B, T, H, W, C]."""

    def __init__(self, channels: int, num_layers: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_Residual(channels) for _ in range(num_layers))

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        for resnet in self.resnets:
            hidden = resnet(hidden, feat_cache)
        return hidden


class _UpStage(_Stage):
    """Then channels become pixels and frames."""

    def __init__(
        self, channels: int, out_channels: int, *, num_layers: int, time: int, space: int
    ) -> None:
        super().__init__(channels, num_layers)
        self.factors = (time, space, space)
        self.proj = Linear(channels, out_channels * time * space * space)

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        hidden = super().forward(hidden, feat_cache)
        hidden = linear(
            hidden, self._pixels_first(self.proj.weight), self._pixels_first(self.proj.bias)
        )
        # [B, T, H, W, t, h, w, C] -> [B, T, t, H, h, W, w, C]
        hidden = hidden.unflatten(-1, (*self.factors, -1)).permute(0, 1, 4, 2, 5, 3, 6, 7)
        return hidden.flatten(5, 6).flatten(3, 4).flatten(1, 2)

    def _pixels_first(self, rows: Tensor) -> Tensor:
        """The weights' rows go by channel, then by pixel: few rows to turn around, many pixels."""
        return rows.unflatten(0, (-1, math.prod(self.factors))).transpose(0, 1).flatten(0, 1)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _FrameNorm(channels), _FrameNorm(channels)
        self.conv1, self.conv2 = _CausalConv(channels), _CausalConv(channels)

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        changed = self.conv1(self.norm1(hidden), feat_cache)
        changed = self.conv2(self.norm2(changed), feat_cache)
        return changed.add_(hidden)


class _FrameNorm(nn.Module):
    """Group norm of each frame alone, and so causal."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_layer = nn.GroupNorm(_NUM_GROUPS, channels)

    def forward(self, hidden: Tensor) -> Tensor:
        frames = self.norm_layer(hidden.flatten(0, 1).movedim(-1, 1))
        return frames.movedim(1, -1).unflatten(0, hidden.shape[:2])


class _CausalConv(nn.Module):
    """SiLU, then 3x3x3.

    The first frame stands for those before it, a side's pixels for those beyond.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, 3)

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        batch, length, height, width, channels = hidden.shape
        # Written into its place at once: padding and past would each cost a pass.
        seen = hidden.new_empty(batch, length + 2, height + 2, width + 2, channels)
        new = seen[:, 2:]
        torch.ops.aten.silu.out(hidden, out=new[:, :, 1:-1, 1:-1])
        for row, inside in ((0, 1), (-1, -2)):
            new[:, :, row, 1:-1] = new[:, :, inside, 1:-1]
        for column, inside in ((0, 1), (-1, -2)):
            new[:, :, :, column] = new[:, :, :, inside]
        past = feat_cache.past()
        seen[:, :2] = new[:, :1] if past is None else past
        feat_cache.remember(seen[:, -2:])
        return conv3d(seen.movedim(-1, 1), self.conv.weight, self.conv.bias).movedim(1, -1)
