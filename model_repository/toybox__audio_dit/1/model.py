"""Sound for a finished picture: its state goes in and comes back with the sound's latents."""

from typing import Any

from telecine.backend.devices import choose_device
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import stream_responses
from telecine.backend.sound import SoundMaker
from telecine.engine.families import load_family


class TritonPythonModel:
    """Runs a family's denoiser of sound."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the denoiser."""
        self._maker = SoundMaker(load_family(parameter(args, "weights")), choose_device())

    def execute(self, requests: list[Any]) -> None:
        """Make the sound of each request's video."""
        for request in requests:
            state = self._maker.make(RequestReader(request))
            stream_responses(state, request.get_response_sender(), request)
