"""Calls of one message each, repeated while that is safe, for asyncio."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

import grpc

from telecine.client.connection import MAX_ATTEMPTS, Repetition
from telecine.client.errors import client_error
from telecine.client.requests import Page, PageRequest

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
PageRequestT = TypeVar("PageRequestT", bound=PageRequest)
PageT = TypeVar("PageT", bound=Page)


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

    async def _pages(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[PageRequestT, PageT]",
        request: PageRequestT,
    ) -> AsyncGenerator[PageT, None]:
        """Yield page after page; the next one is asked for when it is needed."""
        while True:
            page = await self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
