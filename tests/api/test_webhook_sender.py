"""Callers are told that their videos have ended: signed, again until answered, whoever dies."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateway_process import running_gateway
from submissions import claim, make_submission

from telecine.api.gateway import serve
from telecine.config import (
    GatewaySettings,
    RedisSettings,
    Settings,
    StorageSettings,
)
from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.local.data_folder import DataFolder
from telecine.v1 import model_pb2, video_pb2, video_service_pb2, video_service_pb2_grpc
from telecine.webhook_settings import WebhookSettings

KEY = b"0123456789abcdef0123456789abcdef"
NEWER_KEY = b"fedcba9876543210fedcba9876543210"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
Refused = Callable[[Awaitable[object]], Awaitable[Any]]


class Receiver:
    """An HTTP server that keeps what it is sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.answers: list[int] = []
        self.has_hung = asyncio.Event()
        self.is_hanging = False
        self.url = ""
        self.keys = [KEY]

    async def hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a message and never answers."""
        await reader.readuntil(b"\r\n\r\n")
        self.has_hung.set()
        with suppress(ConnectionError):
            await reader.read()  # until the sender is gone
        writer.close()
        self.has_hung.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_hanging:
            await self.hang(reader, writer)
            return
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:]
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.messages.put_nowait((headers, body))
        status = self.answers.pop(0) if self.answers else 204
        writer.write(f"HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The next message, its signature checked as a receiver does."""
        headers, body = await asyncio.wait_for(self.messages.get(), 20)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = [
            f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"
            for key in self.keys
        ]
        assert headers["webhook-signature"].split(" ") == expected
        return headers, json.loads(body)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told"
        yield made


@pytest.fixture
def gateway_settings() -> dict[str, Any]:
    return {"outside_hosts": ("127.0.0.1",)}


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"webhooks": webhooks()}


def webhooks(**fields: Any) -> WebhookSettings:
    return WebhookSettings.model_validate(
        {"secrets": {"default": SECRET}, "poll_seconds": 0.05, "retry_seconds": 0.1, **fields}
    )


def creation(url: str) -> video_service_pb2.CreateVideoRequest:
    spec = video_pb2.VideoSpec(prompt="a red circle")
    return video_service_pb2.CreateVideoRequest(spec=spec, webhook_url=url)


async def test_end_of_a_video_is_told_once_with_a_signature(
    gateway: Any, receiver: Receiver
) -> None:
    video = await gateway.videos.CreateVideo(creation(receiver.url))
    await gateway.finish(await gateway.claim(), b"mp4")
    headers, event = await receiver.next()
    video_id = video.name.removeprefix("videos/")
    assert headers["webhook-id"] == f"msg_{video_id}"
    assert event["type"] == "video.completed"
    assert event["data"] == {"id": video_id, "object": "video", "state": "SUCCEEDED"}
    await asyncio.sleep(0.3)
    assert receiver.messages.empty()


async def test_delivery_is_made_again_until_it_is_answered(
    gateway: Any, receiver: Receiver
) -> None:
    receiver.answers = [500, 302]
    video = await gateway.videos.CreateVideo(creation(receiver.url))
    await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
    tries = [await receiver.next() for _ in range(3)]
    assert len({headers["webhook-id"] for headers, _ in tries}) == 1
    assert {event["type"] for _, event in tries} == {"video.failed"}


async def test_receiver_that_is_gone_is_left_alone(gateway: Any, receiver: Receiver) -> None:
    receiver.answers = [410]
    video = await gateway.videos.CreateVideo(creation(receiver.url))
    await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
    await receiver.next()
    await asyncio.sleep(0.3)
    assert receiver.messages.empty()


async def test_what_a_gateway_leaves_undone_the_next_one_does(
    redis_url: str, tmp_path: Path, receiver: Receiver, toybox: model_pb2.Model
) -> None:
    """The video ends, and is deleted, while no gateway is there."""
    settings = Settings(
        gateway=GatewaySettings(stop_grace_seconds=0.1, outside_hosts=("127.0.0.1",)),
        redis=RedisSettings(url=redis_url),
        storage=StorageSettings(url=str(tmp_path / "objects")),
        webhooks=webhooks(),
    )
    redis = connect_redis(redis_url)
    await ModelDirectory(redis).publish(toybox, worker_id="w", ttl_seconds=60)
    async with serve(settings) as address, grpc.aio.insecure_channel(address) as channel:
        videos: Any = video_service_pb2_grpc.VideoServiceStub(channel)
        video = await videos.CreateVideo(creation(receiver.url))
    jobs = JobStore(redis)
    assignment = await claim(jobs, lease_seconds=30)
    assert assignment is not None
    await jobs.complete(assignment.lease, [])
    await jobs.delete(video.name)
    assert receiver.messages.empty()
    async with serve(settings):
        _, event = await receiver.next()
    assert event["data"]["state"] == "SUCCEEDED"
    await redis.aclose()


@pytest.mark.parametrize("is_sending", [False, True])
async def test_gateway_that_is_killed_before_the_delivery_loses_none(
    redis_url: str, tmp_path: Path, receiver: Receiver, *, is_sending: bool
) -> None:
    """By SIGKILL: between the video's end and the delivery, or while the receiver is silent."""
    receiver.is_hanging = is_sending
    told = (
        f"[webhooks]\npoll_seconds = {0.05 if is_sending else 3600}\ntimeout_seconds = 1\n"
        f'[webhooks.secrets]\ndefault = "{SECRET}"\n'
    )
    with running_gateway(
        redis_url, tmp_path, outside_hosts=("127.0.0.1",), more_settings=told
    ) as gateway:
        await gateway.announce()
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            videos: Any = video_service_pb2_grpc.VideoServiceStub(channel)
            video = await videos.CreateVideo(creation(receiver.url))
        await gateway.finish(b"mp4")
        if is_sending:
            await asyncio.wait_for(receiver.has_hung.wait(), 20)
        gateway.kill()
        while receiver.has_hung.is_set():  # noqa: ASYNC110 (its sender's end shows it)
            await asyncio.sleep(0.05)
        assert receiver.messages.empty()
        receiver.is_hanging = False
        settings = DataFolder(tmp_path).settings
        settings.write_text(settings.read_text().replace("poll_seconds = 3600", "poll_seconds = 1"))
        gateway.start()
        headers, event = await receiver.next()
        await gateway.redis.aclose()
    assert headers["webhook-id"] == f"msg_{video.name.removeprefix('videos/')}"
    assert event["data"]["state"] == "SUCCEEDED"


async def test_each_video_of_a_batch_is_told(gateway: Any, receiver: Receiver) -> None:
    request = video_service_pb2.BatchCreateVideosRequest(
        spec=video_pb2.VideoSpec(prompt="x"), num_videos=3, webhook_url=receiver.url
    )
    made = await gateway.videos.BatchCreateVideos(request)
    for video in made.videos:
        await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
    told = {(await receiver.next())[1]["data"]["id"] for _ in made.videos}
    assert told == {video.name.removeprefix("videos/") for video in made.videos}


async def test_same_request_id_with_another_webhook_is_another_request(
    gateway: Any, receiver: Receiver, refused: Refused
) -> None:
    request = creation(receiver.url)
    request.request_id = "told-once"
    await gateway.videos.CreateVideo(request)
    request.webhook_url += "?other"
    refusal = await refused(gateway.videos.CreateVideo(request))
    assert refusal.code == grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("url", ["ftp://x/", "not a url", "http://user:pw@x/"])
async def test_url_of_another_form_is_refused(gateway: Any, refused: Refused, url: str) -> None:
    refusal = await refused(gateway.videos.CreateVideo(creation(url)))
    assert refusal.field == "webhook_url"


async def test_host_that_is_never_called_is_refused_at_once(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.videos.CreateVideo(creation("https://example.com/told")))
    assert refusal.field == "webhook_url"


class TestTenantWithoutASecret:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        return {"webhooks": WebhookSettings()}

    async def test_nothing_could_be_signed_for_it(self, gateway: Any, refused: Refused) -> None:
        refusal = await refused(gateway.videos.CreateVideo(creation("https://example.com/")))
        assert refusal.field == "webhook_url"


class TestTenantWhoseSecretChanges:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        newer = f"whsec_{base64.b64encode(NEWER_KEY).decode()}"
        return {"webhooks": webhooks(secrets={"default": [newer, SECRET]})}

    async def test_the_new_one_and_the_old_one_sign(self, gateway: Any, receiver: Receiver) -> None:
        receiver.keys = [NEWER_KEY, KEY]
        video = await gateway.videos.CreateVideo(creation(receiver.url))
        await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
        await receiver.next()


class TestReceiversThatHang:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        both = {"default": SECRET, "other": SECRET}
        return {"webhooks": webhooks(secrets=both, timeout_seconds=3600)}

    async def test_they_hold_up_no_other_tenants(self, gateway: Any, receiver: Receiver) -> None:
        hanging = Receiver()
        hanging.is_hanging = True
        async with await asyncio.start_server(hanging.serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            # More than are sent at once.
            for _ in range(70):
                submission = replace(make_submission(tenant="other"), webhook_url=url)
                await gateway.jobs.cancel((await gateway.jobs.submit(submission)).name)
            await asyncio.wait_for(hanging.has_hung.wait(), 20)
            video = await gateway.videos.CreateVideo(creation(receiver.url))
            await gateway.jobs.cancel(video.name)
            _, event = await receiver.next()
        assert event["data"]["id"] == video.name.removeprefix("videos/")


class TestTenantWithAnAddress:
    @pytest.fixture
    def sections(self, receiver: Receiver) -> dict[str, Any]:
        return {"webhooks": webhooks(urls={"default": receiver.url})}

    async def test_it_is_told_of_every_video(self, gateway: Any, receiver: Receiver) -> None:
        video = await gateway.create()
        await gateway.videos.CancelVideo(video_service_pb2.CancelVideoRequest(name=video.name))
        _, event = await receiver.next()
        assert event["data"]["id"] == video.name.removeprefix("videos/")
