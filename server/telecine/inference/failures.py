"""From what tritonclient and gRPC raise to the project's own errors."""

import re

import grpc
from tritonclient.utils import InferenceServerException

from telecine.errors import (
    CheckpointError,
    ModelError,
    ModelServerUnavailableError,
    TelecineError,
)

_UNAVAILABLE_CODES = frozenset(
    {
        "StatusCode.UNAVAILABLE",
        "StatusCode.DEADLINE_EXCEEDED",
        "StatusCode.CANCELLED",
        "StatusCode.NOT_FOUND",
    }
)
# What Triton says when a model's process is dead, or when a model is loaded or unloaded.
_UNAVAILABLE_SIGNS = (
    "is not ready",
    "unknown model",
    "has no available versions",
    "shutting down",
)
_DEAD_PROCESS = re.compile(r"Stub process '(?P<model>\w+?)_\d+_\d+' is not healthy")


def translate(error: grpc.RpcError | InferenceServerException) -> TelecineError:
    """Return the error to raise instead: the server's failure, or the model's on this input."""
    if isinstance(error, InferenceServerException):
        code, message = str(error.status()), str(error.message())
    else:
        code, message = str(error.code()), str(error.details())
    if dead := _DEAD_PROCESS.search(message):
        return ModelServerUnavailableError(f"Triton: {message}", dead_model=dead["model"])
    if code in _UNAVAILABLE_CODES or any(sign in message for sign in _UNAVAILABLE_SIGNS):
        return ModelServerUnavailableError(f"Triton: {message}")
    if f"{CheckpointError.__name__}: " in message:
        return CheckpointError(message)
    return ModelError(message)
