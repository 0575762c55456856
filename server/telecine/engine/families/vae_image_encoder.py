"""The image encoder of a family whose denoiser reads nothing of pictures but their latents."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor


class EncodingVAE(Protocol):
    """Frames to latents."""

    def encode(self, video: Tensor) -> Tensor:
        """[B, 3, T, H, W] in [-1, 1] -> normalised latents [B, C, T', H', W']."""
        ...


class VAEImageEncoder:
    """See `telecine.engine.families.protocol.ImageEncoder`."""

    def __init__(self, vae: EncodingVAE) -> None:
        self._vae = vae

    @torch.no_grad()
    def encode(self, frames: Tensor, *, num_frames: int) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Frames [1, 3, T, H, W] in [-1, 1] -> `latents`."""
        return {"latents": self._vae.encode(frames)}
