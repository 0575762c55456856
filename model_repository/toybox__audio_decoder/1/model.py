"""Latents of sound to samples, one response a chunk."""

from functools import partial
from typing import Any

from telecine.backend.devices import choose_device
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import stream_responses
from telecine.backend.sound import decode_sound
from telecine.engine.families import load_family


class TritonPythonModel:
    """Runs a family's decoder of sound."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the decoder."""
        device = choose_device()
        decoder = load_family(parameter(args, "weights")).load_audio_decoder(device)
        self._decode = partial(decode_sound, decoder=decoder, device=device)

    def execute(self, requests: list[Any]) -> None:
        """Decode the sound of each request's state."""
        for request in requests:
            chunks = self._decode(RequestReader(request))
            stream_responses(chunks, request.get_response_sender(), request)
