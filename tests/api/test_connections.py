"""Connections that say nothing, or too much: the gateway serves others and holds little of them."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from gateway_process import GatewayProcess, running_gateway

from telecine.api import grpc_server
from telecine.v1 import video_service_pb2, video_service_pb2_grpc

MAX_CONNECTIONS = 5000
SPARE_FILES = 500  # of a process that holds the connections
MAX_BYTES_A_CONNECTION = 32 * 1024
SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS_FRAME


@contextmanager
def open_files(soft: int, hard: int) -> Iterator[None]:
    """Lets this process, and those that it starts, have so many files open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def list_videos(gateway: GatewayProcess) -> None:
    """Makes a good call on each edge."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = video_service_pb2_grpc.VideoServiceStub(channel)
        await stub.ListVideos(video_service_pb2.ListVideosRequest())
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{gateway.http_port}") as http:
        assert (await http.get("/v1/videos")).status_code == 200


async def test_thousands_of_idle_connections_leave_room_for_calls(
    redis_url: str, tmp_path: Path
) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(MAX_CONNECTIONS, most - SPARE_FILES)
    with ExitStack() as stack:
        with open_files(min(256, most), most):  # which the gateway raises by itself
            gateway = stack.enter_context(running_gateway(redis_url, tmp_path))
        stack.enter_context(open_files(most, most))
        await list_videos(gateway)
        before = gateway.memory_bytes
        for index in range(number):
            port = gateway.port if index % 2 else gateway.http_port
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        await list_videos(gateway)
        assert gateway.memory_bytes - before < number * MAX_BYTES_A_CONNECTION


@pytest.fixture
def fast_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "HANDSHAKE_MILLISECONDS", 300)
    monkeypatch.setattr(grpc_server, "KEEPALIVE_MILLISECONDS", 300)
    monkeypatch.setattr(grpc_server, "KEEPALIVE_ANSWER_MILLISECONDS", 300)


@pytest.mark.parametrize("sent", [b"", PREFACE[:10], PREFACE], ids=["nothing", "a part", "preface"])
async def test_grpc_connection_whose_other_end_is_gone_is_closed(
    fast_clocks: None, gateway: Any, sent: bytes
) -> None:
    host, port = gateway.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    async with asyncio.timeout(30):
        await reader.read()
    writer.close()
    assert (await gateway.create()).name


async def test_header_flood_on_the_grpc_edge_is_refused(gateway: Any) -> None:
    request = video_service_pb2.ListVideosRequest()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await gateway.videos.ListVideos(request, metadata=[("x-a", "a" * 100_000)])
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await gateway.create()).name


async def test_key_in_the_path_of_a_call_opens_nothing_and_is_not_repeated(gateway: Any) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        call = channel.unary_unary("/telecine.v1.VideoService/ListVideos?api_key=tc_secret")
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(b"")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "tc_secret" not in str(raised.value.details())
