"""Turns whatever a service function raises into a status with details."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from telecine.api.auth.open_streams import OpenStreams
from telecine.api.caller import current_caller
from telecine.api.error_status import status_of
from telecine.errors import InvalidFieldError

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # types-grpcio gives a handler of grpc.aio the types of a blocking one
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Stands around every method, the first of the interceptors.

    It reads the request's bytes itself: grpc.aio would answer bytes that are not the
    message with UNKNOWN.

    Args:
        open_streams: ends a stream with its caller's credentials.
    """

    def __init__(self, open_streams: OpenStreams) -> None:
        self._open_streams = open_streams

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Returns the method's handler with the conversion around it."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler  # gRPC answers an unknown method itself
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._streaming(handler, handler.stream_stream, _parse_all),
                None,
                handler.response_serializer,
            )
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                _client_streaming(handler), None, handler.response_serializer
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler, handler.unary_stream, _parse),
                None,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler), None, handler.response_serializer
        )

    def _streaming(
        self, handler: Handler, method: Callable[..., Any], parse: Callable[[Handler, Any], Any]
    ) -> Callable[[Any, Context], Awaitable[None]]:
        # Writes to the context itself: a generator around the method's own would cost each message.
        async def answer(data: Any, context: Context) -> None:
            try:
                async with (
                    self._open_streams.hold(current_caller()),
                    aclosing(method(parse(handler, data), context)) as responses,
                ):
                    async for response in responses:
                        await context.write(response)
            except grpc.aio.AbortError:
                raise
            except grpc.aio.InternalError:
                return  # nobody is there to write to: the connection broke
            except Exception as error:
                await _abort(context, error)

        return answer


def _unary(handler: Handler) -> Callable[[bytes, Context], Awaitable[Any]]:
    async def answer(data: bytes, context: Context) -> Any:
        try:
            return await handler.unary_unary(_parse(handler, data), context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(context, error)

    return answer


def _client_streaming(
    handler: Handler,
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Any]]:
    async def answer(stream: AsyncIterator[bytes], context: Context) -> Any:
        try:
            return await handler.stream_unary(_parse_all(handler, stream), context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(context, error)

    return answer


def _parse(handler: Handler, data: bytes) -> Any:
    try:
        return handler.request_deserializer(data)
    except DecodeError as error:
        raise InvalidFieldError("request", f"is not a message of this call: {error}") from error


async def _parse_all(handler: Handler, stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    # No generator expression, which opens the stream at once: a refused call never reads it, and
    # gRPC warns of a stream that was opened and not read.
    async for data in stream:
        yield _parse(handler, data)


async def _abort(context: Context, error: Exception) -> NoReturn:
    await context.abort_with_status(rpc_status.to_status(status_of(error)))
