"""One request to a decoupled model of Triton, as an iterator of its responses."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import grpc
from tritonclient.grpc import InferResult
from tritonclient.grpc.aio import InferenceServerClient

from telecine.errors import ModelServerUnavailableError
from telecine.inference.failures import translate
from telecine.inference.lifeline import PARAMETER, Lifeline
from telecine.inference.tensor_exchange import TensorExchange

_END_SECONDS = 1.0
_PROBE_SECONDS = 0.2
# What a process sent before its end may still be on the way.
_MAX_CUT_PROBES = 5


@dataclass(frozen=True)
class StreamTimeouts:
    """Silence after which a stream counts as dead: its model's process may hang.

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
        ModelServerUnavailableError: Triton cannot be reached, the model's process died (a
            second after it did), or the stream was silent for too long.
        ModelError: the model failed on this input.
    """

    async def only_request() -> AsyncIterator[dict[str, Any]]:
        yield {
            "model_name": model_name,
            "inputs": exchange.inputs,
            "outputs": exchange.outputs,
            "parameters": {PARAMETER: lifeline.name},
        }

    is_whole = False
    with Lifeline() as lifeline:
        responses = _Responses(triton.stream_infer(only_request()), model_name, lifeline)
        timeout_seconds = timeouts.first_seconds
        try:
            while (result := await responses.next(timeout_seconds)) is not None:
                is_whole = result.get_output(last_output) is not None
                yield result
                timeout_seconds = timeouts.next_seconds
        finally:
            responses.cancel()
    if not is_whole:
        raise ModelServerUnavailableError(f"{model_name} broke off", dead_model=model_name)


class _Responses:
    """The responses of one request, each waited for as long as there is hope of it."""

    def __init__(self, responses: Any, model_name: str, lifeline: Lifeline) -> None:
        self._responses = responses
        self._model_name = model_name
        self._lifeline = lifeline

    def cancel(self) -> None:
        self._responses.cancel()

    async def next(self, timeout_seconds: float) -> InferResult | None:
        """Return the next response, None after the last one."""
        coming = asyncio.ensure_future(anext(self._responses))
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._wait_for(coming)
            result, error = coming.result()
        except StopAsyncIteration:
            return None
        except TimeoutError:
            raise self._dead(f"was silent for {timeout_seconds:g} s") from None
        except grpc.RpcError as rpc_error:
            raise translate(rpc_error, called=self._model_name) from rpc_error
        finally:
            if coming.cancel():
                await asyncio.wait((coming,))
        if error is not None:
            await self._wait_for_end()
            raise translate(error, called=self._model_name) from error
        return cast(InferResult, result)

    async def _wait_for_end(self) -> None:
        """After an error, let the stream end by itself.

        A stream that is cancelled at the moment at which Triton ends it may leave a request
        behind in Triton, which then never unloads the model.
        """
        with contextlib.suppress(TimeoutError, StopAsyncIteration, grpc.RpcError):
            async with asyncio.timeout(_END_SECONDS):
                await anext(self._responses)

    async def _wait_for(self, coming: asyncio.Future[Any]) -> None:
        """Return once the response is there; raise where its process has ended without it."""
        num_cut = 0
        while not coming.done():
            await asyncio.wait((coming,), timeout=_PROBE_SECONDS)
            num_cut += self._lifeline.is_cut()
            if num_cut > _MAX_CUT_PROBES and not coming.done():
                raise self._dead("has lost its process")

    def _dead(self, what: str) -> ModelServerUnavailableError:
        name = self._model_name
        return ModelServerUnavailableError(f"{name} {what}", dead_model=name)
