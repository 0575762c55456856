"""A network of the prompt's encoding, in PyTorch: by what the config says, which."""

from typing import Any

from telecine.backend.request_reader import parameter
from telecine.backend.responses import answer_each
from telecine.backend.torch_encoder import TorchEncoder


class TritonPythonModel:
    """Runs one of a family's encoder roles."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network."""
        self._encoder = TorchEncoder(parameter(args, "weights"), parameter(args, "role"))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._encoder.run)
