"""An encoder role of a family, by ONNX Runtime."""

from pathlib import Path
from typing import Any

from telecine.backend.onnx_model import OnnxModel
from telecine.backend.request_reader import RequestReader, parameter
from telecine.backend.responses import Outputs, answer_each


class TritonPythonModel:
    """Runs the role's exported network."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the ONNX file that set-up put beside this one."""
        num_threads = int(parameter(args, "num_threads"))
        self._encoder = OnnxModel(Path(__file__).with_name("model.onnx"), num_threads=num_threads)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return answer_each(requests, self._encode)

    def _encode(self, request: RequestReader) -> Outputs:
        return self._encoder.run({name: request.array(name) for name in self._encoder.input_names})
