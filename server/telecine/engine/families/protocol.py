"""What a family offers. Each part loads alone, since each runs in a process of its own."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from telecine.engine.denoise import Denoiser
from telecine.engine.rollout import Rollout
from telecine.engine.text_encoders.tokenizer import TokenizedPrompt
from telecine.engine.vae.layers import FeatCache


class Tokenizer(Protocol):
    """Text to tokens of a fixed length."""

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize one prompt."""
        ...


class VideoVAE(Protocol):
    """Latents to frames."""

    def decode(self, latents: Tensor) -> Tensor:
        """[B, C, T', H', W'] -> [B, 3, T, H, W] in about [-1, 1], at once."""
        ...

    def decode_chunks(
        self, latents: Tensor, feat_cache: FeatCache | None = None
    ) -> Iterator[Tensor]:
        """The same chunk by chunk, [B, 3, t, H, W] each, in memory that stays flat.

        What `feat_cache` was left with by an earlier call is gone on from.
        """
        ...


class Family(Protocol):
    """A weights folder, opened."""

    @property
    def shift(self) -> float:
        """How far the sampling schedule leans to high noise."""
        ...

    @property
    def rollout(self) -> Rollout | None:
        """How a video is denoised chunk by chunk; None where the network cannot."""
        ...

    def latents_shape(
        self, *, num_frames: int, height: int, width: int
    ) -> tuple[int, int, int, int, int]:
        """[B, C, T, H, W] of the latents of one video, given in pixels."""
        ...

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        ...

    def load_t5_encoder(self) -> nn.Module:
        """(input_ids, attention_mask) [B, L] -> t5_hidden_states [B, L, T]."""
        ...

    def load_clip_encoder(self) -> nn.Module:
        """(input_ids, attention_mask) [B, L] -> clip_pooled [B, C]."""
        ...

    def load_text_projection(self) -> nn.Module:
        """(t5_hidden_states, clip_pooled) -> prompt_embeds and pooled_prompt_embeds."""
        ...

    def load_denoiser(self, device: torch.device) -> Denoiser:
        """The network of the denoising loop."""
        ...

    def load_vae(self, device: torch.device) -> VideoVAE:
        """The VAE."""
        ...
