"""Latents to frames, chunk by chunk: six frames to a latent frame, of which the first has one.

Every layer is causal in time, so a chunk needs of the past only what the `FeatCache` holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
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
        hidden = self.block_in(self.conv_in(latents), feat_cache)
        for up_block in self.up_blocks:
            hidden = up_block(hidden, feat_cache)
        hidden = functional.silu(self.block_out(hidden, feat_cache))
        return self.proj_out(hidden.movedim(1, -1)).movedim(-1, 1).float()

    def _denormalise(self, latents: Tensor) -> Tensor:
        config = self.config
        mean, std = (
            torch.tensor(values, device=latents.device).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return (latents * std / config.scaling_factor + mean).to(self.proj_out.weight.dtype)


class _Stage(nn.Module):
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
        hidden = self.proj(super().forward(hidden, feat_cache).movedim(1, -1))
        # [B, T, H, W, C, t, h, w] -> [B, C, T, t, H, h, W, w]
        hidden = hidden.unflatten(-1, (-1, *self.factors)).permute(0, 4, 1, 5, 2, 6, 3, 7)
        return hidden.flatten(6, 7).flatten(4, 5).flatten(2, 3)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _FrameNorm(channels), _FrameNorm(channels)
        self.conv1, self.conv2 = _CausalConv(channels), _CausalConv(channels)

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        changed = self.conv1(functional.silu(self.norm1(hidden)), feat_cache)
        return hidden + self.conv2(functional.silu(self.norm2(changed)), feat_cache)


class _FrameNorm(nn.Module):
    """Group norm of each frame alone, and so causal."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm_layer = nn.GroupNorm(_NUM_GROUPS, channels)

    def forward(self, hidden: Tensor) -> Tensor:
        frames = self.norm_layer(hidden.transpose(1, 2).flatten(0, 1))
        return frames.unflatten(0, (len(hidden), -1)).transpose(1, 2)


class _CausalConv(nn.Module):
    """3x3x3; the first frame stands for those before it, a side's pixels for those beyond."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, 3)

    def forward(self, hidden: Tensor, feat_cache: FeatCache) -> Tensor:
        past = feat_cache.past()
        if past is None:
            past = hidden[:, :, :1].expand(-1, -1, 2, -1, -1)
        seen = torch.cat((past, hidden), 2)
        feat_cache.remember(seen[:, :, -2:])
        return self.conv(functional.pad(seen, (1, 1, 1, 1, 0, 0), mode="replicate"))
