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
        "StatusCode.CANCELLED",
        "StatusCode.NOT_FOUND",
    }
)
# What Triton says when a model's process is dead, or when a model is loaded or unloaded, and gRPC
# when the server ends in the middle of a call.
_UNAVAILABLE_SIGNS = (
    "Internal error from Core",
    "RST_STREAM",
    "Stream removed",
    "is not ready",
    "unknown model",
    "has no available versions",
    "shutting down",
)
_DEAD_PROCESS = re.compile(r"Stub process '(?P<model>\w+?)_\d+_\d+' is not healthy")
# The same, where Triton does not say of which model: the process died while it held a lock that
# Triton wants, or while its inbox was full.
_UNNAMED_DEAD_PROCESS = ("Failed to obtain the health mutex", "Stub process is not healthy")
_OUT_OF_MEMORY = "OutOfMemoryError: "  # torch's, by its name
# With these a server refuses a call; with any other a stream as a whole ends only with its server.
_REFUSALS = frozenset({"StatusCode.INVALID_ARGUMENT", "StatusCode.RESOURCE_EXHAUSTED"})
# The server lives and the model does not answer.
_SILENT_CODE = "StatusCode.DEADLINE_EXCEEDED"


def translate(
    error: grpc.RpcError | InferenceServerException, *, called: str = ""
) -> TelecineError:
    """Return the error to raise instead: the server's failure, or the model's on this input.

    Args:
        error: what was raised.
        called: the model that was called, for errors that do not say whose process is dead.
    """
    has_ended = False
    if isinstance(error, InferenceServerException):
        code, message = str(error.status()), str(error.message())
    else:
        code, message = str(error.code()), str(error.details())
        has_ended = code not in _REFUSALS
    if dead := _DEAD_PROCESS.search(message):
        return ModelServerUnavailableError(f"Triton: {message}", dead_model=dead["model"])
    if code == _SILENT_CODE or any(sign in message for sign in _UNNAMED_DEAD_PROCESS):
        return ModelServerUnavailableError(f"Triton: {message}", dead_model=called)
    has_ended = has_ended or any(sign in message for sign in _UNAVAILABLE_SIGNS)
    if has_ended or code in _UNAVAILABLE_CODES:
        return ModelServerUnavailableError(f"Triton: {message}")
    if _OUT_OF_MEMORY in message:
        # Much of what is taken may be the allocator's, which a fresh process gives back.
        message = f"{ModelServerUnavailableError.__name__}: too little memory left on the device"
    if f"{ModelServerUnavailableError.__name__}: " in message:
        # A model that says of itself that it can go on no more.
        return ModelServerUnavailableError(f"Triton: {message}", dead_model=called)
    if f"{CheckpointError.__name__}: " in message:
        return CheckpointError(message)
    return ModelError(message)
