"""An encoder role of a family, by the runtime that its config names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from telecine.backend.onnx_model import OnnxModel
from telecine.backend.request_reader import RequestReader
from telecine.backend.responses import Outputs


class Encoder(Protocol):
    """One network of the chain from a prompt's tokens to conditioning."""

    def run(self, request: RequestReader) -> Outputs:
        """Inputs by name to outputs by name, batch first."""
        ...


class OnnxEncoder:
    """An exported network, by ONNX Runtime."""

    def __init__(self, path: Path, *, num_threads: int) -> None:
        self._model = OnnxModel(path, num_threads=num_threads)

    def run(self, request: RequestReader) -> Outputs:
        """See `Encoder`."""
        return self._model.run({name: request.array(name) for name in self._model.input_names})


def open_encoder(options: Mapping[str, str], folder: Path) -> Encoder:
    """Load a role's network.

    Args:
        options: the parameters of its config.pbtxt.
        folder: where its ONNX file lies, if that is what runs.
    """
    if options["runtime"] == "onnx":
        return OnnxEncoder(folder / "model.onnx", num_threads=int(options["num_threads"]))
    # ONNX Runtime's processes start without PyTorch, which takes seconds and 200 MB.
    from telecine.backend.torch_encoder import TorchEncoder  # noqa: PLC0415

    return TorchEncoder(options["weights"], options["role"])
