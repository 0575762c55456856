"""From a model's results to Triton's responses."""

import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from telecine.backend.request_reader import RequestReader, TritonRequest
from telecine.inference.lifeline import held

Outputs = Mapping[str, NDArray[Any]]
"""Tensors by name."""
TritonResponse = Any
ResponseSender = Any


def answer_each(
    requests: list[TritonRequest], answer: Callable[[RequestReader], Outputs]
) -> list[TritonResponse]:
    """Answer each request once; one that fails does not touch the others."""
    responses = []
    for request in requests:
        try:
            responses.append(_response(answer(RequestReader(request))))
        except Exception as error:
            responses.append(_failure(error))
    return responses


def stream_responses(
    results: Generator[Outputs, None, None],
    sender: ResponseSender,
    request: TritonRequest,
) -> None:
    """Send each result as it comes, until the request is cancelled; then the final flag.

    Cancellation is looked for before each result is asked for, so that at most the one
    that is being made is wasted. The request's lifeline is held until the final flag is sent.
    """
    final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    with held(request.parameters()):
        try:
            with closing(results):
                _send_each(results, sender, request)
        except Exception as error:
            sender.send(_failure(error), flags=final)
        else:
            sender.send(flags=final)


def _send_each(
    results: Generator[Outputs, None, None], sender: ResponseSender, request: TritonRequest
) -> None:
    num_sent = 0
    while not request.is_cancelled():
        outputs = next(results, None)
        if outputs is None:
            return
        sender.send(_response(outputs))
        num_sent += 1
    pb_utils.Logger.log_info(f"cancelled after {num_sent} responses")


def _response(outputs: Outputs) -> TritonResponse:
    tensors = [
        pb_utils.Tensor(name, np.ascontiguousarray(values)) for name, values in outputs.items()
    ]
    return pb_utils.InferenceResponse(output_tensors=tensors)


def _failure(error: Exception) -> TritonResponse:
    pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
    message = f"{type(error).__name__}: {error}"
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message))
