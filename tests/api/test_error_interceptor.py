"""The interceptor converts errors and lets gRPC's own ways of ending a call pass."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from breaking_proxy import BreakingProxy

from telecine.api.auth.open_streams import OpenStreams
from telecine.api.error_interceptor import ErrorInterceptor
from telecine.api.open_calls import OpenCalls
from telecine.errors import NotFoundError
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_pb2, video_service_pb2, video_service_pb2_grpc

REQUEST = video_service_pb2.GetVideoRequest(name="videos/x")


class Servicer(video_service_pb2_grpc.VideoServiceServicer):
    """Ends each call in another way."""

    def __init__(self) -> None:
        self.was_cancelled = asyncio.Event()

    async def GetVideo(self, _request: Any, _context: Any) -> video_pb2.Video:
        raise RuntimeError("secret")

    async def CancelVideo(self, _request: Any, context: Any) -> video_pb2.Video:
        await context.abort(grpc.StatusCode.DATA_LOSS, "as the method says")
        raise AssertionError

    async def CreateVideo(self, _request: Any, _context: Any) -> video_pb2.Video:
        try:
            await asyncio.sleep(60)
        finally:
            self.was_cancelled.set()
        raise AssertionError

    async def WatchVideo(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        yield video_pb2.VideoEvent(event_id="1-0")
        raise NotFoundError("videos/x")

    async def DownloadVideo(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield video_service_pb2.DownloadVideoResponse(data=bytes(1 << 20))
        finally:
            self.was_cancelled.set()


@asynccontextmanager
async def served_port(servicer: Servicer) -> AsyncIterator[int]:
    nothing = ApiKeyStore(connect_redis("redis://127.0.0.1:1"))  # never asked: nobody has a key
    streams = OpenStreams(nothing, OpenCalls("streams", 10), poll_seconds=60)
    server = grpc.aio.server(interceptors=[ErrorInterceptor(streams)])
    video_service_pb2_grpc.add_VideoServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


@asynccontextmanager
async def serving(servicer: Servicer) -> AsyncIterator[Any]:
    async with (
        served_port(servicer) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield video_service_pb2_grpc.VideoServiceStub(channel)


async def test_unknown_error_is_internal_and_keeps_its_secret() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(Servicer()) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.GetVideo(REQUEST)
    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert "secret" not in str(raised.value.details())
    assert len(logs) == 1


async def test_abort_of_a_method_passes() -> None:
    async with serving(Servicer()) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CancelVideo(video_service_pb2.CancelVideoRequest())
    assert raised.value.code() == grpc.StatusCode.DATA_LOSS
    assert raised.value.details() == "as the method says"


async def test_cancelled_call_ends_its_method_without_a_log_line() -> None:
    servicer = Servicer()
    with structlog.testing.capture_logs() as logs:
        async with serving(servicer) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.CreateVideo(video_service_pb2.CreateVideoRequest(), timeout=0.2)
            await asyncio.wait_for(servicer.was_cancelled.wait(), 5)
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert logs == []


async def test_connection_that_breaks_ends_its_stream_s_method_without_a_log_line() -> None:
    servicer = Servicer()
    request = video_service_pb2.DownloadVideoRequest()
    with structlog.testing.capture_logs() as logs:
        async with served_port(servicer) as port:
            proxy = BreakingProxy(port, num_breaks=1, break_bytes=4 << 20)
            async with proxy.serve() as address, grpc.aio.insecure_channel(address) as channel:
                stub = video_service_pb2_grpc.VideoServiceStub(channel)
                with pytest.raises(grpc.aio.AioRpcError):
                    _ = [piece async for piece in stub.DownloadVideo(request)]
                await asyncio.wait_for(servicer.was_cancelled.wait(), 5)
    assert logs == []


async def test_error_in_the_middle_of_a_stream_comes_after_its_messages() -> None:
    async with serving(Servicer()) as stub:
        call = stub.WatchVideo(video_service_pb2.WatchVideoRequest())
        assert (await call.read()).event_id == "1-0"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
