"""The built-in causal audio VAE: 40 ms of a mono waveform to one latent."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.audio.layers import (
    CausalStepBlock,
    StepLinear,
    StepNorm,
    joined,
    parted,
)
from telecine.engine.vae.layers import FeatCache
from telecine.engine.vae.statistics import NormalisingVAE

_CHUNK_LATENTS = 25


@dataclass(frozen=True)
class AudioVAEConfig:
    """Sizes of the audio VAE; read from audio_vae/config.json of a weights folder."""

    sample_rate: int = 16_000
    latent_channels: int = 16
    sample_patch: int = 40
    """Samples that become one step of the finest rate; 4 steps join twice into a latent."""
    inner_channels: int = 96
    middle_channels: int = 160
    outer_channels: int = 256
    head_channels: int = 384
    num_inner_blocks: int = 2
    num_middle_blocks: int = 2
    num_outer_blocks: int = 2
    latents_mean: tuple[float, ...] = ()
    latents_std: tuple[float, ...] = ()

    @property
    def latent_samples(self) -> int:
        """Samples that a latent stands for."""
        return 16 * self.sample_patch


class AudioEncoder(nn.Module):
    """A waveform to the mean and log variance of its latents."""

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        inner, middle, outer = (
            config.inner_channels,
            config.middle_channels,
            config.outer_channels,
        )
        self.sample_patch = config.sample_patch
        self.stem = StepLinear(config.sample_patch, inner, 16)
        self.inner_blocks = _blocks(config.num_inner_blocks, inner, 16)
        self.down_to_middle = StepLinear(4 * inner, middle, 4)
        self.middle_blocks = _blocks(config.num_middle_blocks, middle, 4)
        self.down_to_outer = StepLinear(4 * middle, outer, 1)
        self.outer_blocks = _blocks(config.num_outer_blocks, outer, 1)
        self.norm = StepNorm(outer)
        self.head = StepLinear(outer, 2 * config.latent_channels, 1)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 1, samples] in [-1, 1] -> mean and log variance, each [B, C, T]."""
        hidden = self.stem(joined(waveform.transpose(1, 2), self.sample_patch))
        hidden = _run(self.inner_blocks, hidden, None)
        hidden = _run(self.middle_blocks, self.down_to_middle(joined(hidden, 4)), None)
        hidden = _run(self.outer_blocks, self.down_to_outer(joined(hidden, 4)), None)
        mean, log_variance = self.head(self.norm(hidden)).transpose(1, 2).float().chunk(2, 1)
        return mean, log_variance.clamp(-20, 10)


class AudioDecoder(nn.Module):
    """Latents to a waveform; with a `FeatCache`, chunk by chunk."""

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__()
        inner, middle, outer = (
            config.inner_channels,
            config.middle_channels,
            config.outer_channels,
        )
        self.sample_patch = config.sample_patch
        self.stem = StepLinear(config.latent_channels, outer, 1)
        self.outer_blocks = _blocks(config.num_outer_blocks, outer, 1)
        self.up_to_middle = StepLinear(outer, 4 * middle, 1)
        self.middle_blocks = _blocks(config.num_middle_blocks, middle, 4)
        self.up_to_inner = StepLinear(middle, 4 * inner, 4)
        self.inner_blocks = _blocks(config.num_inner_blocks, inner, 16)
        self.norm = StepNorm(inner)
        self.head_in = StepLinear(inner, config.head_channels, 16)
        self.head_out = StepLinear(config.head_channels, config.sample_patch, 16)

    def forward(self, latents: Tensor, feat_cache: FeatCache | None = None) -> Tensor:
        """[B, C, T] -> [B, 1, samples]."""
        if feat_cache is not None:
            feat_cache.begin_chunk()
        hidden = _run(self.outer_blocks, self.stem(latents.transpose(1, 2)), feat_cache)
        hidden = _run(self.middle_blocks, parted(self.up_to_middle(hidden), 4), feat_cache)
        hidden = _run(self.inner_blocks, parted(self.up_to_inner(hidden), 4), feat_cache)
        hidden = self.head_out(functional.gelu(self.head_in(self.norm(hidden))))
        return parted(hidden, self.sample_patch).transpose(1, 2)


class AudioVAE(NormalisingVAE):
    """The encoder and the decoder, with the latents' statistics to normalise them by."""

    def __init__(self, config: AudioVAEConfig) -> None:
        super().__init__(config.latents_mean, config.latents_std)
        self.config = config
        self.encoder = AudioEncoder(config)
        self.decoder = AudioDecoder(config)

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return self.config.sample_rate

    @property
    def latent_samples(self) -> int:
        """Samples that a latent stands for."""
        return self.config.latent_samples

    def encode(self, waveform: Tensor) -> Tensor:
        """[B, 1, samples] in [-1, 1] -> the mean of its normalised latents [B, C, T].

        What is missing to a whole last latent is silence.
        """
        missing = -waveform.shape[-1] % self.config.latent_samples
        mean, _ = self.encoder(functional.pad(waveform, (0, missing)))
        return self.normalise(mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents [B, C, T] -> the whole waveform [B, 1, samples] at once."""
        waveform: Tensor = self.decoder(self.denormalise(latents))
        return waveform

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """Normalised latents -> the waveform as [B, 1, samples] of at most a second each.

        With the `feat_cache` that an earlier call was given, goes on where that one ended.
        """
        feat_cache = FeatCache() if feat_cache is None else feat_cache
        for chunk in latents.split(_CHUNK_LATENTS, dim=2):
            yield self.decoder(self.denormalise(chunk), feat_cache)


def _blocks(count: int, channels: int, steps_per_latent: int) -> nn.ModuleList:
    return nn.ModuleList(CausalStepBlock(channels, steps_per_latent) for _ in range(count))


def _run(blocks: nn.ModuleList, signal: Tensor, feat_cache: FeatCache | None) -> Tensor:
    for block in blocks:
        signal = block(signal, feat_cache)
    return signal
