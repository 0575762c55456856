"""A video's sound in Triton's tensors: made for a finished picture, decoded, and encoded."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import torch

from telecine.backend.request_reader import RequestReader
from telecine.backend.responses import Outputs
from telecine.backend.sampling_reader import read_prompts, read_sampling
from telecine.engine.families.protocol import AudioDecoder, Family
from telecine.engine.families.sampling import sampling_config
from telecine.engine.state import DenoiseState
from telecine.inference.requests import HEARD_SAMPLE_RATE

_MAX_CHUNK_SAMPLES = 250_000
"""Of one channel in one response: a megabyte."""


@torch.inference_mode()
def decode_sound(
    request: RequestReader, *, decoder: AudioDecoder, device: torch.device
) -> Generator[Outputs, None, None]:
    """Yield `samples` [channels, n] chunk by chunk, and how many there were at the end.

    Raises:
        CheckpointError: the request's state is no state.
        ValueError: it has no sound.
    """
    state = DenoiseState.from_bytes(request.array("state").tobytes(), device)
    if state.audio_latents is None:
        raise ValueError("state: has no sound")
    sample_rate = np.array([decoder.sample_rate], np.int64)
    num_samples = 0
    for decoded in decoder.decode_chunks(state.audio_latents):
        for chunk in decoded[0].float().split(_MAX_CHUNK_SAMPLES, 1):
            num_samples += chunk.shape[1]
            yield {"samples": chunk.cpu().numpy(), "sample_rate": sample_rate}
    yield {"num_samples": np.array([num_samples], np.int64), "sample_rate": sample_rate}


class SoundEncoder:
    """A family's encoder of sound on a device.

    Raises:
        ValueError: it takes another rate than every `audio_encoder` does.
    """

    def __init__(self, family: Family, device: torch.device) -> None:
        self._family = family
        self._device = device
        self._encoder = family.load_audio_encoder(device)
        if self._encoder.sample_rate != HEARD_SAMPLE_RATE:
            raise ValueError(f"sample_rate: {self._encoder.sample_rate}, not {HEARD_SAMPLE_RATE}")

    @torch.inference_mode()
    def encode(self, request: RequestReader) -> Outputs:
        """Return the `audio_latents` of a request's `waveform`, as many as the video has.

        What lies behind the video's end in its last latent is heard as well; what the waveform
        lacks is silence.

        Raises:
            ValueError: a tensor is missing.
        """
        shape = self._family.audio_latents_shape(
            num_frames=request.integer("num_frames"), fps=request.integer("fps")
        )
        assert shape is not None
        waveform = np.zeros(shape[2] * self._encoder.latent_samples, np.float32)
        samples = request.array("waveform")[: len(waveform)]
        waveform[: len(samples)] = samples
        encoded = self._encoder.encode(torch.from_numpy(waveform)[None, None].to(self._device))
        return {"audio_latents": encoded[0].float().cpu().numpy()}


class SoundMaker:
    """A family's denoiser of sound on a device."""

    def __init__(self, family: Family, device: torch.device) -> None:
        self._family = family
        self._device = device
        self._denoiser = family.load_audio_denoiser(device)

    @torch.inference_mode()
    def make(self, request: RequestReader) -> Generator[Outputs, None, None]:
        """Yield nothing for each step, then the `state` with the latents of the sound in it.

        An empty response is a sign of life, and where a cancelled request ends.

        Raises:
            CheckpointError: the request's state is no state.
            ValueError: the sound is not as long as the video, or a tensor is missing.
        """
        state = DenoiseState.from_bytes(request.array("state").tobytes(), self._device)
        size, asked = read_sampling(request)
        # A picture made chunk by chunk is whole by now.
        attention = "window" if asked.attention == "window" else "full"
        asked = asked._replace(attention=attention, audio_mode="POST_SYNC")
        config = sampling_config(self._family, size, asked)
        prompts = read_prompts(request, self._family, self._device)
        steps = self._denoiser.denoise(*prompts, latents=state.latents, config=config)
        for audio_latents in steps:  # noqa: B007 - the last are the sound's
            yield {}
        if tuple(audio_latents.shape) != config.audio_latents_shape:
            raise ValueError(
                f"audio_latents: {tuple(audio_latents.shape)}, not {config.audio_latents_shape}"
            )
        made = replace(state, audio_latents=audio_latents)
        yield {"state": np.frombuffer(made.to_bytes(), np.uint8)}
