"""Calls of one message each, repeated while that is safe, for asyncio."""

import asyncio
from typing import TypeVar

import grpc

from telecine.client.connection import MAX_ATTEMPTS, Repetition
from telecine.client.errors import client_error

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class AsyncUnaryCalls:
    """What every part of a client calls through."""

    _timeout_seconds: float

    async def _call(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]",
        request: RequestT,
        *,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> ResponseT:
        repetition = Repetition(self._timeout_seconds, max_attempts=max_attempts)
        while True:
            try:
                return await method(request, timeout=repetition.left_seconds)
            except grpc.RpcError as error:
                await asyncio.sleep(repetition.delay_after(client_error(error)))
