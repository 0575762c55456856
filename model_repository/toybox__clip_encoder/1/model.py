"""A network of the prompt's encoding; its config says which, and what runs it."""

from pathlib import Path
from typing import Any

from telecine.backend.encoder import open_encoder
from telecine.backend.request_reader import parameters
from telecine.backend.responses import answer_each


class TritonPythonModel:
    """Runs one of a family's encoder roles."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network; ONNX Runtime reads the file that set-up put beside this one."""
        self._encoder = open_encoder(parameters(args), Path(__file__).parent)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._encoder.run)
