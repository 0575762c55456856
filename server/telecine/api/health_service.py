"""grpc.health.v1 with the store's reachability behind it.

The package's own asyncio servicer forgets all watchers of a service when one of them
leaves; this one keeps them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):
    """One status for the server and every service in it."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset({"", *services})
        self._status: int = NOT_SERVING
        self._changed = asyncio.Condition()

    @property
    def is_serving(self) -> bool:
        """Whether calls can be answered now."""
        return self._status == SERVING

    async def set(self, status: int) -> None:
        """Enters a ServingStatus and tells all who watch."""
        if status == self._status:
            return
        async with self._changed:
            self._status = status
            self._changed.notify_all()

    async def Check(  # noqa: N802
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> health_pb2.HealthCheckResponse:
        """Returns the status; NOT_FOUND for a service that is not here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!a}")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(  # noqa: N802
        self,
        request: health_pb2.HealthCheckRequest,
        _context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yields the status and each later one."""
        is_known = request.service in self._services
        told: int | None = None
        while True:
            async with self._changed:
                while told == (status := self._status if is_known else SERVICE_UNKNOWN):
                    await self._changed.wait()
            told = status
            yield health_pb2.HealthCheckResponse(status=told)
