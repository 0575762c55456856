"""The built-in causal 3D VAE: 4 frames x 16 x 16 pixels to one latent pixel."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.vae.layers import (
    CausalBlock,
    DownSample,
    FeatCache,
    PixelLinear,
    PixelNorm,
    UpSample,
)
from telecine.engine.vae.statistics import NormalisingVAE


@dataclass(frozen=True)
class CausalVAEConfig:
    """Sizes of the VAE; read from vae/config.json of a weights folder."""

    latent_channels: int = 24
    inner_channels: int = 128
    outer_channels: int = 224
    head_channels: int = 512
    num_inner_blocks: int = 2
    num_outer_blocks: int = 2
    pixel_patch: int = 8
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()

    @property
    def spatial_scale(self) -> int:
        """Pixels a latent pixel stands for, along one side."""
        return 2 * self.pixel_patch

    @property
    def temporal_scale(self) -> int:
        """Frames a latent frame stands for, the first one aside."""
        return 4


class CausalEncoder(nn.Module):
    """Frames to the mean and log variance of their latents."""

    def __init__(self, config: CausalVAEConfig) -> None:
        super().__init__()
        inner, outer = config.inner_channels, config.outer_channels
        self.pixel_patch = config.pixel_patch
        self.stem = PixelLinear(3 * config.pixel_patch**2, inner)
        self.inner_block = CausalBlock(inner)
        self.down_space_time = DownSample(inner, outer, space=2, time=2)
        self.middle_block = CausalBlock(outer)
        self.down_time = DownSample(outer, outer, space=1, time=2)
        self.outer_blocks = nn.ModuleList(
            CausalBlock(outer) for _ in range(config.num_outer_blocks)
        )
        self.norm = PixelNorm(outer)
        self.head = PixelLinear(outer, 2 * config.latent_channels)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, T, H, W] in [-1, 1] -> mean and log variance, each [B, C, T', H', W']."""
        batch_size = len(video)
        frames = video.transpose(1, 2).flatten(0, 1)
        hidden = self.stem(functional.pixel_unshuffle(frames, self.pixel_patch))
        hidden = self.inner_block(hidden, batch_size, None)
        hidden = self.down_space_time(hidden, batch_size)
        hidden = self.middle_block(hidden, batch_size, None)
        hidden = self.down_time(hidden, batch_size)
        for block in self.outer_blocks:
            hidden = block(hidden, batch_size, None)
        hidden = self.head(self.norm(hidden))
        clip = hidden.unflatten(0, (batch_size, -1)).transpose(1, 2)
        mean, log_variance = clip.float().chunk(2, 1)
        return mean, log_variance.clamp(-20, 10)


class CausalDecoder(nn.Module):
    """Latents to frames; with a `FeatCache`, chunk by chunk."""

    def __init__(self, config: CausalVAEConfig) -> None:
        super().__init__()
        inner, outer = config.inner_channels, config.outer_channels
        self.pixel_patch = config.pixel_patch
        self.stem = PixelLinear(config.latent_channels, outer)
        self.outer_blocks = nn.ModuleList(
            CausalBlock(outer) for _ in range(config.num_outer_blocks)
        )
        self.up_time = UpSample(outer, outer, space=1, time=2)
        self.middle_block = CausalBlock(outer)
        self.up_space_time = UpSample(outer, inner, space=2, time=2)
        self.inner_blocks = nn.ModuleList(
            CausalBlock(inner) for _ in range(config.num_inner_blocks)
        )
        self.norm = PixelNorm(inner)
        self.head_in = PixelLinear(inner, config.head_channels)
        self.head_out = PixelLinear(config.head_channels, 3 * config.pixel_patch**2)

    def forward(self, latents: Tensor, feat_cache: FeatCache | None = None) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W]; T = 4 T' - 3, and 4 T' after the first chunk."""
        batch_size = len(latents)
        is_first_chunk = feat_cache is None or feat_cache.is_empty
        if feat_cache is not None:
            feat_cache.begin_chunk()
        hidden = self.stem(latents.transpose(1, 2).flatten(0, 1))
        for block in self.outer_blocks:
            hidden = block(hidden, batch_size, feat_cache)
        hidden = self.up_time(hidden, batch_size, is_first_chunk=is_first_chunk)
        hidden = self.middle_block(hidden, batch_size, feat_cache)
        hidden = self.up_space_time(hidden, batch_size, is_first_chunk=is_first_chunk)
        for block in self.inner_blocks:
            hidden = block(hidden, batch_size, feat_cache)
        hidden = self.head_out(functional.gelu(self.head_in(self.norm(hidden))))
        frames = functional.pixel_shuffle(hidden, self.pixel_patch)
        return frames.unflatten(0, (batch_size, -1)).transpose(1, 2)


class CausalVAE(NormalisingVAE):
    """The encoder and the decoder, with the latents' statistics to normalise them by."""

    def __init__(self, config: CausalVAEConfig) -> None:
        super().__init__(config.latents_mean, config.latents_std)
        self.config = config
        self.encoder = CausalEncoder(config)
        self.decoder = CausalDecoder(config)

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, T, H, W] in [-1, 1] -> the mean of their normalised latents."""
        mean, _ = self.encoder(video)
        return self.normalise(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [B, C, T', H', W'] -> the whole clip [B, 3, T, H, W] at once."""
        video: Tensor = self.decoder(self.denormalise(latents))
        return video

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """Normalised latents -> frames as [B, 3, 1, H, W], then [B, 3, 4, H, W] each.

        The memory used does not grow with the clip's length. With the `feat_cache` that an
        earlier call was given, goes on where that one ended.
        """
        feat_cache = FeatCache() if feat_cache is None else feat_cache
        for latent_frame in latents.split(1, dim=2):
            yield self.decoder(self.denormalise(latent_frame), feat_cache)
