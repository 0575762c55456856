"""One request to a decoupled model of Triton, as an iterator of its responses."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import InferResult
from tritonclient.grpc.aio import InferenceServerClient

from telecine.errors import ModelServerUnavailableError
from telecine.inference.failures import translate
from telecine.inference.tensor_exchange import TensorExchange


@dataclass(frozen=True)
class StreamTimeouts:
    """Silence after which a stream counts as dead: its model's process may have died unseen.

    Attributes:
        first_seconds: before the first response, which may wait for a model to warm up.
        next_seconds: before each later one.
    """

    first_seconds: float
    next_seconds: float


async def stream_responses(
    triton: InferenceServerClient,
    model_name: str,
    exchange: TensorExchange,
    *,
    last_output: str,
    timeouts: StreamTimeouts,
) -> AsyncGenerator[InferResult, None]:
    """Send the request and yield each response; closing the iterator cancels the request.

    Args:
        triton: the connection.
        model_name: one role of a model.
        exchange: the request's tensors, all added before the first response is asked for.
        last_output: the output that only the last response carries; a stream that ends
            without it broke off, which Triton reports as an end like any other.
        timeouts: how long silence may last.

    Raises:
        ModelServerUnavailableError: Triton cannot be reached, the model's process died, or
            the stream was silent for too long.
        ModelError: the model failed on this input.
    """

    async def only_request() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": model_name, "inputs": exchange.inputs, "outputs": exchange.outputs}

    responses = triton.stream_infer(only_request())
    timeout_seconds = timeouts.first_seconds
    is_whole = False
    try:
        while (result := await _next_result(responses, model_name, timeout_seconds)) is not None:
            is_whole = result.get_output(last_output) is not None
            yield result
            timeout_seconds = timeouts.next_seconds
    finally:
        responses.cancel()
    if not is_whole:
        raise ModelServerUnavailableError(f"{model_name} broke off", dead_model=model_name)


async def _next_result(
    responses: AsyncIterator[tuple[InferResult | None, Exception | None]],
    model_name: str,
    timeout_seconds: float,
) -> InferResult | None:
    """Return the next response, None after the last one."""
    try:
        async with asyncio.timeout(timeout_seconds):
            result, error = await anext(responses)
    except StopAsyncIteration:
        return None
    except TimeoutError:
        raise ModelServerUnavailableError(
            f"{model_name} was silent for {timeout_seconds:g} s", dead_model=model_name
        ) from None
    except grpc.RpcError as rpc_error:
        raise translate(rpc_error) from rpc_error
    if error is not None:
        raise translate(error) from error
    return result
