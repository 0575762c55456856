"""A stream that is open ends with the key or the token that opened it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from httpx2 import AsyncClient, RemoteProtocolError
from keyed_gateway import KeyedGateway, announce, keyed_gateway
from submissions import claim
from token_issuer import TokenIssuer, running_issuer
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from telecine.api.auth.open_streams import OpenStreams
from telecine.api.caller import Caller
from telecine.api.open_calls import OpenCalls
from telecine.auth_settings import AuthSettings
from telecine.errors import UnauthenticatedError
from telecine.jobs.api_key_store import ApiKeyStore
from telecine.jobs.job_store import JobStore
from telecine.storage.keys import artifact_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import model_pb2, video_pb2, video_service_pb2, video_service_pb2_grpc

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
LARGE = 64 * 1024 * 1024  # more than the buffers between a gateway and a client that does not read


@pytest.fixture
async def keyed(
    redis_url: str, tmp_path: Path, toybox: model_pb2.Model
) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(redis_url, tmp_path, revocation_seconds=0.1) as running:
        await announce(running, toybox)
        yield running


@asynccontextmanager
async def stub_of(gateway: KeyedGateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield video_service_pb2_grpc.VideoServiceStub(channel)


async def queue_video(gateway: KeyedGateway, key: object) -> str:
    request = video_service_pb2.CreateVideoRequest(spec=video_pb2.VideoSpec(prompt="x"))
    async with stub_of(gateway) as videos:
        video = await videos.CreateVideo(request, metadata=(("x-api-key", str(key)),))
    name: str = video.name
    return name


async def finish_video(gateway: KeyedGateway, folder: Path, content: bytes) -> None:
    jobs = JobStore(gateway.redis)
    assignment = await claim(jobs, lease_seconds=30)
    assert assignment is not None
    objects = LocalObjectStore(folder / "objects")
    stored = await objects.put(artifact_key(assignment.video, "video.mp4"), content)
    artifact = video_pb2.Artifact(
        artifact_id="video.mp4",
        kind=video_pb2.Artifact.KIND_VIDEO,
        content_type="video/mp4",
        size_bytes=stored.size_bytes,
        digest=stored.digest,
    )
    await jobs.complete(assignment.lease, [artifact])


def streams_of(videos: Any, name: str, metadata: Any) -> list[Any]:
    """One call of each kind that goes on for long."""
    return [
        videos.WatchVideo(video_service_pb2.WatchVideoRequest(name=name), metadata=metadata),
        videos.WatchVideos(video_service_pb2.WatchVideosRequest(), metadata=metadata),
        videos.DownloadVideo(
            video_service_pb2.DownloadVideoRequest(name=name, follow=True), metadata=metadata
        ),
    ]


async def read_to_end(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


async def test_grpc_streams_of_a_revoked_key_end_and_others_go_on(
    keyed: KeyedGateway, refused: Refused
) -> None:
    key, other = await keyed.make_key(), await keyed.make_key()
    name = await queue_video(keyed, key)
    async with stub_of(keyed) as videos:
        ending = streams_of(videos, name, (("x-api-key", str(key)),))
        staying = streams_of(videos, name, (("x-api-key", str(other)),))
        for call in ending[:2] + staying[:2]:
            await call.read()
        await keyed.keys.revoke(f"apiKeys/{key.key_id}")
        for call in ending:
            async with asyncio.timeout(20):
                refusal = await refused(read_to_end(call))
            assert (refusal.code, refusal.reason) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "API_KEY_REVOKED",
            )
        assert not any(call.done() for call in staying)
        for call in staying:
            call.cancel()


@pytest.mark.parametrize("path", ["/v1/{name}/events", "/v1/videos/events"])
async def test_server_sent_events_end_with_the_error(keyed: KeyedGateway, path: str) -> None:
    key = await keyed.make_key()
    name = await queue_video(keyed, key)
    async with (
        AsyncClient(base_url=keyed.http_url, headers={"x-api-key": str(key)}) as http,
        asyncio.timeout(20),
        http.stream("GET", path.format(name=name)) as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                break
        await keyed.keys.revoke(f"apiKeys/{key.key_id}")
        rest = [line async for line in lines if line]
    assert rest[-2] == "event: error"
    assert '"code":"api_key_revoked"' in rest[-1]


async def test_websocket_is_closed_with_the_error(keyed: KeyedGateway) -> None:
    key = await keyed.make_key()
    name = await queue_video(keyed, key)
    url = f"{keyed.http_url.replace('http', 'ws', 1)}/v1/{name}/ws"
    messages = []
    async with asyncio.timeout(20), connect(url, additional_headers={"x-api-key": str(key)}) as ws:
        messages.append(await ws.recv())
        await keyed.keys.revoke(f"apiKeys/{key.key_id}")
        with pytest.raises(ConnectionClosed) as raised:
            while True:
                messages.append(await ws.recv())
    assert raised.value.rcvd is not None
    assert raised.value.rcvd.code == 1008
    assert "api_key_revoked" in str(messages[-1])


async def test_download_breaks_off(keyed: KeyedGateway, tmp_path: Path, refused: Refused) -> None:
    key = await keyed.make_key()
    name = await queue_video(keyed, key)
    await finish_video(keyed, tmp_path, bytes(LARGE))
    request = video_service_pb2.DownloadVideoRequest(name=name)
    async with (
        AsyncClient(base_url=keyed.http_url, headers={"x-api-key": str(key)}) as http,
        stub_of(keyed) as videos,
        asyncio.timeout(30),
        http.stream("GET", f"/v1/{name}/content") as answer,
    ):
        call = videos.DownloadVideo(request, metadata=(("x-api-key", str(key)),))
        await call.read()
        chunks = answer.aiter_raw()
        await anext(chunks)
        await keyed.keys.revoke(f"apiKeys/{key.key_id}")
        await asyncio.sleep(1)  # neither client reads meanwhile
        with pytest.raises(RemoteProtocolError):
            async for _ in chunks:
                pass
        assert (await refused(read_to_end(call))).reason == "API_KEY_REVOKED"


async def test_stream_ends_when_the_time_of_its_key_is_over(
    keyed: KeyedGateway, refused: Refused
) -> None:
    name = await queue_video(keyed, await keyed.make_key())
    key = await keyed.make_key(expire_seconds=2)
    async with stub_of(keyed) as videos:
        for call in streams_of(videos, name, (("x-api-key", str(key)),)):
            async with asyncio.timeout(20):
                assert (await refused(read_to_end(call))).reason == "API_KEY_EXPIRED"
            break  # a later call would be refused before it begins


class TestAccessToken:
    @pytest.fixture
    def issuer(self) -> Iterator[TokenIssuer]:
        with running_issuer() as running:
            yield running

    async def test_stream_ends_when_its_token_does(
        self,
        redis_url: str,
        tmp_path: Path,
        toybox: model_pb2.Model,
        issuer: TokenIssuer,
        refused: Refused,
    ) -> None:
        tokens = issuer.settings(leeway_seconds=0)
        auth = AuthSettings(is_required=True, access_tokens=tokens)
        async with keyed_gateway(redis_url, tmp_path, auth=auth) as gateway:
            await announce(gateway, toybox)
            name = await queue_video(gateway, await gateway.make_key())
            token = issuer.token(scope="videos:read", exp=int(time.time()) + 3)
            async with stub_of(gateway) as videos, asyncio.timeout(20):
                metadata = (("authorization", f"Bearer {token}"),)
                calls = streams_of(videos, name, metadata)
                reasons = [(await refused(read_to_end(call))).reason for call in calls]
        assert set(reasons) == {"ACCESS_TOKEN_EXPIRED"}


async def test_blocks_own_timeout_is_not_taken_for_the_callers_end(keyed: KeyedGateway) -> None:
    streams = OpenStreams(ApiKeyStore(keyed.redis), OpenCalls("streams", 2), poll_seconds=60)
    caller = Caller("acme", "p", frozenset(), key_id="k", expire_time=time.time() + 60)
    with pytest.raises(TimeoutError):
        async with streams.hold(caller):
            raise TimeoutError
    gone = Caller("acme", "p", frozenset(), key_id="k", expire_time=time.time() - 1)
    with pytest.raises(UnauthenticatedError):
        async with streams.hold(gone):
            await asyncio.sleep(20)
