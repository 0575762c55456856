"""Wan's VAE: diffusers' own network, run chunk by chunk with its memory in our hands."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, WanCausalConv3d
from torch import Tensor, nn

from telecine.engine.convolution import Sizes, conv3d
from telecine.engine.vae.layers import FeatCache

_REPEAT = "Rep"
"""What the network remembers in place of features where the next frame is the clip's second."""


class WanVAE:
    """Latents as the transformer makes them, normalised per channel, to frames and back."""

    def __init__(self, network: AutoencoderKLWan) -> None:
        self.network: Any = network
        self._config: Any = network.config

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device) -> Self:
        """Read config.json and the safetensors, in float32."""
        network = AutoencoderKLWan.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, torch_dtype=torch.float32
        )
        _replace_convolutions(network)
        return cls(network.to(device).eval().requires_grad_(requires_grad=False))

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W] in [-1, 1], T = 4 T' - 3, at once."""
        return torch.cat(list(self.decode_chunks(latents)), 2)

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """The same, as [B, 3, 1, H, W], then [B, 3, 4, H, W] each, in memory that stays flat.

        With the `feat_cache` that an earlier call was given, goes on where that one ended.
        """
        feat_cache = FeatCache() if feat_cache is None else feat_cache
        for latent_frame in self._denormalise(latents.float()).split(1, dim=2):
            yield self._decode_frame(latent_frame, feat_cache)

    def encode(self, frames: Tensor) -> Tensor:
        """[B, 3, T, H, W] in [-1, 1], T = 4 T' - 3 -> the likeliest latents [B, C, T', H', W']."""
        latents = self.network.encode(frames.float()).latent_dist.mode()
        mean, scale = self._statistics(latents)
        return (latents - mean) * scale

    def _decode_frame(self, latent_frame: Tensor, feat_cache: FeatCache) -> Tensor:
        is_first = feat_cache.is_empty
        features = _to_features(feat_cache.slots, self._num_features)
        frames = self.network.decoder(
            self.network.post_quant_conv(latent_frame),
            feat_cache=features,
            feat_idx=[0],
            first_chunk=is_first,
        )
        feat_cache.replace(_to_slots(features))
        if self._config.patch_size is not None:
            frames = _unpatchify(frames, self._config.patch_size)
        return frames.clamp(-1.0, 1.0)

    @property
    def _num_features(self) -> int:
        count: int = self.network._cached_conv_counts["decoder"]
        return count

    def _denormalise(self, latents: Tensor) -> Tensor:
        mean, scale = self._statistics(latents)
        return latents / scale + mean

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, and one over the standard deviation."""
        mean = torch.tensor(self._config.latents_mean).to(latents).view(1, -1, 1, 1, 1)
        deviation = torch.tensor(self._config.latents_std).to(latents).view(1, -1, 1, 1, 1)
        return mean, 1.0 / deviation


class _CausalConv(nn.Module):
    """Stands for one of the network's convolutions: what it sees is written once, not padded."""

    def __init__(self, conv: Any) -> None:
        """Takes over the weights of a `WanCausalConv3d`."""
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self._stride: Sizes = conv.stride
        side, _, top, _, num_past, _ = conv._padding
        self._num_past: int = num_past
        self._padding: Sizes = (0, top, side)

    def forward(self, hidden: Tensor, cache_x: Tensor | None = None) -> Tensor:
        """[B, C, T, H, W] after `cache_x`, the frames before it, or after zeros."""
        seen = hidden
        if self._num_past:
            batch, channels, length, height, width = hidden.shape
            is_on_cpu = hidden.device.type == "cpu"
            seen = torch.empty(
                (batch, channels, self._num_past + length, height, width),
                dtype=hidden.dtype,
                device=hidden.device,
                memory_format=torch.channels_last_3d if is_on_cpu else torch.contiguous_format,
            )
            num_zeros = self._num_past - (0 if cache_x is None else cache_x.shape[2])
            seen[:, :, :num_zeros] = 0.0
            if cache_x is not None:
                seen[:, :, num_zeros : self._num_past] = cache_x
            seen[:, :, self._num_past :] = hidden
        return conv3d(seen, self.weight, self.bias, stride=self._stride, padding=self._padding)


def _replace_convolutions(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, WanCausalConv3d):
            owner, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(owner), attribute, _CausalConv(module))


def _unpatchify(frames: Tensor, patch_size: int) -> Tensor:
    """[B, 3 p p, T, H, W] -> [B, 3, T, p H, p W]; columns before rows, as the network has them."""
    pixels = frames.unflatten(1, (-1, patch_size, patch_size)).permute(0, 1, 4, 5, 3, 6, 2)
    return pixels.flatten(5, 6).flatten(3, 4)


def _to_features(slots: Sequence[Tensor], num_features: int) -> list[Tensor | str | None]:
    """Undo `_to_slots`."""
    known = [slot if slot.numel() else _REPEAT for slot in slots]
    return [*known, *[None] * (num_features - len(known))]


def _to_slots(features: Sequence[Tensor | str | None]) -> list[Tensor]:
    """The layers' features in order; a mark becomes an empty tensor, unused places are left out."""
    return [
        torch.empty(0) if isinstance(feature, str) else feature
        for feature in features
        if feature is not None
    ]


def build_network(folder: Path) -> AutoencoderKLWan:
    """Build what config.json describes, without its weights."""
    return AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(folder))
