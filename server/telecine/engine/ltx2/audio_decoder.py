"""Sound's latents to a waveform: diffusers' audio VAE, then the folder's vocoder."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor


class LTX2AudioDecoder:
    """Latents, as the denoiser leaves them, to stereo sound.

    Attributes:
        sample_rate: samples a second of what `decode` returns.
    """

    def __init__(self, vae: Any, vocoder: Any) -> None:
        self._vae = vae
        self._vocoder = vocoder
        self.sample_rate = int(vocoder.config.output_sampling_rate)

    def decode(self, audio_latents: Tensor) -> Tensor:
        """[B, C, T, M] -> waveform [B, 2, samples] in [-1, 1]."""
        channels, bins = audio_latents.shape[1], audio_latents.shape[3]
        # The statistics are of a moment's values: all bins of the first channel first.
        mean = self._vae.latents_mean.view(1, channels, 1, bins)
        std = self._vae.latents_std.view(1, channels, 1, bins)
        latents = (audio_latents * std + mean).to(self._vae.dtype)
        waveform: Tensor = self._vocoder(self._vae.decode(latents, return_dict=False)[0])
        return waveform.float()

    def decode_chunks(self, audio_latents: Tensor) -> Iterator[Tensor]:
        """The same in one chunk: both networks look at what comes after, too."""
        yield self.decode(audio_latents)
