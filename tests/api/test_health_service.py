"""Health watchers hear of every change, whoever else comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from telecine.api.health_service import NOT_SERVING, SERVICE_UNKNOWN, SERVING, HealthServicer


@asynccontextmanager
async def serving(servicer: HealthServicer) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


async def test_watcher_hears_each_change_once() -> None:
    servicer = HealthServicer(["a.B"])
    async with serving(servicer) as health:
        call = health.Watch(health_pb2.HealthCheckRequest(service="a.B"))
        assert (await call.read()).status == NOT_SERVING
        for status in (SERVING, SERVING, NOT_SERVING):
            await servicer.set(status)
            await asyncio.sleep(0.05)
        assert [(await call.read()).status for _ in range(2)] == [SERVING, NOT_SERVING]


async def test_watcher_that_leaves_takes_no_other_with_it() -> None:
    servicer = HealthServicer([])
    async with serving(servicer) as health:
        calls = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for call in calls:
            await call.read()
        calls[0].cancel()
        await asyncio.sleep(0.05)
        await servicer.set(SERVING)
        assert (await asyncio.wait_for(calls[1].read(), 5)).status == SERVING


async def test_watcher_of_a_service_that_is_not_here_hears_so() -> None:
    async with serving(HealthServicer([])) as health:
        call = health.Watch(health_pb2.HealthCheckRequest(service="x.Y"))
        assert (await call.read()).status == SERVICE_UNKNOWN
