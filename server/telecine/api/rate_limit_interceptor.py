"""Counts each call of gRPC before it is made, and tells its caller what is left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from telecine.api.caller import current_caller
from telecine.api.rate_limiter import RateLimiter, rate_limit_headers

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # types-grpcio gives a handler of grpc.aio the types of a blocking one
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class RateLimitInterceptor(grpc.aio.ServerInterceptor):
    """Stands inside of those that turn errors into statuses and say who calls."""

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Returns the method's handler with the count before it."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/telecine."):
            return handler
        if handler.response_streaming:
            return _like(handler, unary_stream=self._counted_stream(handler.unary_stream))
        name = "stream_unary" if handler.request_streaming else "unary_unary"
        return _like(handler, **{name: self._counted(getattr(handler, name))})

    async def _admit(self, context: Context) -> None:
        state = await self._rate_limiter.admit(current_caller())
        if state is not None:
            context.set_trailing_metadata(tuple(rate_limit_headers(state).items()))

    def _counted(
        self, method: Callable[[Any, Context], Awaitable[Any]]
    ) -> Callable[[Any, Context], Awaitable[Any]]:
        async def answer(request: Any, context: Context) -> Any:
            await self._admit(context)
            return await method(request, context)

        return answer

    def _counted_stream(
        self, method: Callable[[Any, Context], Any]
    ) -> Callable[[Any, Context], AsyncIterator[Any]]:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            await self._admit(context)
            async with aclosing(method(request, context)) as responses:
                async for response in responses:
                    yield response

        return answer


def _like(handler: Handler, **methods: Any) -> Handler:
    """Returns the handler with another method; grpc keeps both in named tuples."""
    return handler._replace(**methods)
