"""The inputs of a request to a Python model, by name."""

import json
from typing import Any

import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

TritonRequest = Any
"""A request as Triton hands it over: its class has a name only inside Triton's process."""


class RequestReader:
    """Reads one request's tensors.

    Each method raises ValueError where the request has no such tensor.
    """

    def __init__(self, request: TritonRequest) -> None:
        self._request = request

    def has(self, name: str) -> bool:
        """Whether the request has a tensor of that name."""
        return self.optional_array(name) is not None

    def optional_array(self, name: str) -> NDArray[Any] | None:
        """Return a tensor's values; None where the request has none of that name."""
        tensor = pb_utils.get_input_tensor_by_name(self._request, name)
        return None if tensor is None else tensor.as_numpy()

    def array(self, name: str) -> NDArray[Any]:
        """Return a tensor's values."""
        values = self.optional_array(name)
        if values is None:
            raise ValueError(f"{name}: missing")
        return values

    def texts(self, name: str) -> list[str]:
        """Return a tensor of byte strings as text."""
        return [value.decode() for value in self.array(name).reshape(-1)]

    def text(self, name: str) -> str:
        """Return the only string of a tensor."""
        (value,) = self.texts(name)
        return value

    def integer(self, name: str) -> int:
        """Return the only number of a tensor."""
        return int(self.array(name).item())

    def optional_integer(self, name: str, default: int) -> int:
        """Return the only number of a tensor, or the default where there is no such tensor."""
        return self.integer(name) if self.has(name) else default

    def optional_number(self, name: str, default: float) -> float:
        """Return the only number of a tensor, or the default where there is no such tensor."""
        return self.number(name) if self.has(name) else default

    def number(self, name: str) -> float:
        """Return the only number of a tensor."""
        return float(self.array(name).item())


def parameters(args: dict[str, str]) -> dict[str, str]:
    """Return the parameters of the model's config.pbtxt, from what `initialize` is given."""
    described = json.loads(args["model_config"])["parameters"]
    return {name: value["string_value"] for name, value in described.items()}


def parameter(args: dict[str, str], name: str) -> str:
    """Return one of them."""
    return parameters(args)[name]
