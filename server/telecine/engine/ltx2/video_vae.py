"""LTX-2's video VAE: diffusers' own, decoded at once.

Its decoder is not causal: every layer sees a frame ahead, so that all layers together see
further than most videos are long.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from telecine.engine.vae.layers import FeatCache


class LTX2VideoVAE:
    """Latents, as the denoiser leaves them, to frames."""

    def __init__(self, vae: Any) -> None:
        """Wrap a loaded AutoencoderKLLTX2Video.

        Raises:
            ValueError: it decodes at a noise level of its own, which LTX-2's does not.
        """
        if vae.config.timestep_conditioning:
            raise ValueError("vae/config.json: timestep_conditioning must be false")
        self._vae = vae

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W] in about [-1, 1]."""
        mean = self._vae.latents_mean.view(1, -1, 1, 1, 1)
        std = self._vae.latents_std.view(1, -1, 1, 1, 1)
        scaled = latents * std / self._vae.config.scaling_factor + mean
        video: Tensor = self._vae.decode(scaled.to(self._vae.dtype), return_dict=False)[0]
        return video

    def decode_chunks(
        self,
        latents: Tensor,
        feat_cache: FeatCache | None = None,  # noqa: ARG002
    ) -> Iterator[Tensor]:
        """The whole video as one chunk, [B, 3, T, H, W]."""
        yield self.decode(latents)
