"""A sound track to the latents that a picture is made to."""

from typing import Any

from telecine.backend.devices import choose_device
from telecine.backend.request_reader import parameter
from telecine.backend.responses import answer_each
from telecine.backend.sound import SoundEncoder
from telecine.engine.families import load_family


class TritonPythonModel:
    """Runs a family's encoder of sound."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the encoder."""
        self._encoder = SoundEncoder(load_family(parameter(args, "weights")), choose_device())

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._encoder.encode)
