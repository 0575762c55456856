"""An ONNX file on the CPU."""

from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray


class OnnxModel:
    """Runs a file's graph with inputs and outputs by name.

    Attributes:
        input_names: the graph's inputs.
    """

    def __init__(self, path: Path, *, num_threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        # Idle threads that spin starve the other models' processes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.input_names = tuple(tensor.name for tensor in self._session.get_inputs())
        self._output_names = [tensor.name for tensor in self._session.get_outputs()]

    def run(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the graph once."""
        outputs = self._session.run(self._output_names, inputs)
        return dict(zip(self._output_names, outputs, strict=True))
