"""A tenant that has as many calls open as it may is refused the next one; others are not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from httpx2 import AsyncClient
from keyed_gateway import KeyedGateway, announce, keyed_gateway
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from telecine.v1 import model_pb2, video_pb2, video_service_pb2, video_service_pb2_grpc

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
Key = tuple[tuple[str, str], ...]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
async def keyed(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(
        redis_url, tmp_path, max_open_streams=1, max_open_uploads=1
    ) as running:
        await announce(running, toybox)
        yield running


@pytest.fixture
async def videos(keyed: KeyedGateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        yield video_service_pb2_grpc.VideoServiceStub(channel)


async def key_of(keyed: KeyedGateway, tenant: str) -> Key:
    return (("x-api-key", str(await keyed.make_key(tenant=tenant))),)


@asynccontextmanager
async def watching(videos: Any, key: Key) -> AsyncIterator[None]:
    call = videos.WatchVideos(video_service_pb2.WatchVideosRequest(), metadata=key)
    await call.read()
    yield
    call.cancel()


async def test_another_stream_is_refused_until_one_has_ended(
    keyed: KeyedGateway, videos: Any, refused: Refused
) -> None:
    key, other = await key_of(keyed, "acme"), await key_of(keyed, "other")
    async with watching(videos, key):
        request = video_service_pb2.WatchVideosRequest()
        refusal = await refused(videos.WatchVideos(request, metadata=key).read())
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "QUOTA_EXCEEDED",
        )
        assert refusal.metadata["quota"] == "gateway.max_open_streams"
        async with watching(videos, other):
            pass
    async with asyncio.timeout(20):
        while True:  # a gateway hears of an end a moment later
            call = videos.WatchVideos(request, metadata=key)
            try:
                await call.read()
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
        call.cancel()


async def test_streams_of_health_are_nobodys(keyed: KeyedGateway, videos: Any) -> None:
    default = await key_of(keyed, "default")
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await health.read()
        async with watching(videos, default):
            pass
        health.cancel()


async def test_http_stream_is_refused_with_its_status(keyed: KeyedGateway, videos: Any) -> None:
    key = await key_of(keyed, "acme")
    async with watching(videos, key), AsyncClient(base_url=keyed.http_url) as http:
        answer = await http.get("/v1/videos/events", headers=dict(key))
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "quota_exceeded"
    assert answer.headers["retry-after"] == "5"
    assert "x-should-retry" not in answer.headers
    assert "gateway.max_open_streams" in answer.json()["error"]["message"]


async def test_second_upload_under_way_is_refused_before_its_bytes(
    keyed: KeyedGateway, videos: Any, refused: Refused
) -> None:
    key = await key_of(keyed, "acme")
    first = videos.UploadMedia(metadata=key)
    header = video_service_pb2.MediaHeader(content_type="image/png", size_bytes=len(PNG))
    begin = video_service_pb2.UploadMediaRequest(header=header)
    rest = video_service_pb2.UploadMediaRequest(data=PNG)
    await first.write(begin)
    async with AsyncClient(base_url=keyed.http_url, headers=dict(key)) as http:
        while (await upload_by_form(http)).status_code != 429:
            pass  # the first one has not begun yet
        refusal = await refused(videos.UploadMedia(iter([begin, rest]), metadata=key))
        assert refusal.metadata["quota"] == "gateway.max_open_uploads"
        await first.write(rest)
        await first.done_writing()
        assert (await first).size_bytes == len(PNG)
        assert (await upload_by_form(http)).status_code == 201


async def test_large_body_of_a_video_counts_as_an_upload(keyed: KeyedGateway, videos: Any) -> None:
    key = await key_of(keyed, "acme")
    first = videos.UploadMedia(metadata=key)
    header = video_service_pb2.MediaHeader(content_type="image/png", size_bytes=len(PNG))
    await first.write(video_service_pb2.UploadMediaRequest(header=header))
    async with AsyncClient(base_url=keyed.http_url, headers=dict(key)) as http:
        while (await upload_by_form(http)).status_code != 429:
            pass  # the first one has not begun yet
        small = await http.post("/v1/videos", json={"prompt": "x"})
        assert small.status_code == 202
        files = {"input_reference": ("x.png", PNG + bytes(100_000), "image/png")}
        large = await http.post("/v1/videos", data={"prompt": "x"}, files=files)
        assert large.status_code == 429
        assert "gateway.max_open_uploads" in large.json()["error"]["message"]
    first.cancel()


async def upload_by_form(http: AsyncClient) -> Any:
    return await http.post("/v1/media", files={"file": ("x.png", PNG, "image/png")})


async def test_websocket_is_closed_with_the_refusal(keyed: KeyedGateway, videos: Any) -> None:
    key = await key_of(keyed, "acme")
    request = video_service_pb2.CreateVideoRequest(spec=video_pb2.VideoSpec(prompt="x"))
    name = (await videos.CreateVideo(request, metadata=key)).name
    url = f"{keyed.http_url.replace('http', 'ws', 1)}/v1/{name}/ws"
    async with (
        watching(videos, key),
        asyncio.timeout(20),
        connect(url, additional_headers=dict(key)) as websocket,
    ):
        assert "quota_exceeded" in str(await websocket.recv())
        with pytest.raises(ConnectionClosed):
            await websocket.recv()
