"""What is denoised: the picture's latents and, in a joint model, the sound's along with them."""

from typing import NamedTuple

import torch
from torch import Tensor


class FinishedFrames(NamedTuple):
    """Frames of a video that are done, right before those to denoise."""

    latents: Tensor
    """[B, C, T, H, W]"""
    end_frame: int
    """The latent frame that comes after them."""


class Latents(NamedTuple):
    """One video's latents, or anything of their shapes: noise, a velocity, an estimate."""

    video: Tensor
    """[B, C, T, H, W]"""
    audio: Tensor | None = None
    """[B, C, T] or [B, C, T, M], M mel bins; None where no sound is denoised along."""

    def rows(self, num_rows: int) -> "Latents":
        """As a batch of equal rows, of the memory of one."""
        audio = self.audio
        return Latents(
            self.video.expand(num_rows, *self.video.shape[1:]),
            None if audio is None else audio.expand(num_rows, *audio.shape[1:]),
        )

    def packed(self) -> Tensor:
        """All values in one tensor, as samplers take them, which work value by value."""
        if self.audio is None:
            return self.video
        return torch.cat((self.video.flatten(1), self.audio.flatten(1)), 1)

    def unpacked(self, values: Tensor) -> "Latents":
        """Undo `packed` for values of these latents' shapes."""
        if self.audio is None:
            return Latents(values)
        sizes = [tensor[0].numel() for tensor in (self.video, self.audio)]
        video, audio = values.split(sizes, 1)
        return Latents(video.view_as(self.video), audio.view_as(self.audio))
