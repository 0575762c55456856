"""Through a real gateway: who has no key, a dead one or too small a one does nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from keyed_gateway import KeyedGateway

from telecine.api.auth.api_key_text import ApiKeyText
from telecine.api.caller import Scope
from telecine.client import (
    AsyncClient,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
    video_pb2,
    video_service_pb2,
    video_service_pb2_grpc,
)

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
WHO = account_service_pb2.GetCallerRequest()


@pytest.fixture
async def account(keyed: KeyedGateway) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        yield account_service_pb2_grpc.AccountServiceStub(channel)


async def test_a_key_is_taken_from_either_header(keyed: KeyedGateway, account: Any) -> None:
    key = await keyed.make_key(Scope.VIDEOS_READ, tiers=(video_pb2.TIER_BATCH,))
    for header in (("authorization", f"Bearer {key}"), ("x-api-key", str(key))):
        caller = await account.GetCaller(WHO, metadata=(header,))
        assert caller == account_pb2.Caller(
            tenant="acme",
            principal=f"apiKeys/{key.key_id}",
            scopes=["videos:read"],
            tiers=[video_pb2.TIER_BATCH],
        )


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIALS_MISSING"),
        ((("authorization", ""),), "CREDENTIALS_MISSING"),
        ((("authorization", "Basic dXNlcjpwYXNz"),), "CREDENTIALS_MALFORMED"),
        ((("authorization", "Bearer {key}x"),), "CREDENTIALS_MALFORMED"),
        ((("x-api-key", "{short}"),), "CREDENTIALS_MALFORMED"),
        ((("x-api-key", "e30.e30."),), "CREDENTIALS_MALFORMED"),
        ((("authorization", "Bearer e30.e30."),), "CREDENTIALS_MALFORMED"),
        ((("authorization", "Bearer {key}"), ("x-api-key", "{key}")), "CREDENTIALS_MALFORMED"),
        ((("x-api-key", "{key}"), ("x-api-key", "{key}")), "CREDENTIALS_MALFORMED"),
        ((("x-api-key", "{wrong}"),), "API_KEY_INVALID"),
        ((("x-api-key", "{unknown}"),), "API_KEY_INVALID"),
        ((("api_key", "{key}"), ("x-goog-api-key", "{key}")), "CREDENTIALS_MISSING"),
    ],
)
async def test_what_is_no_key_is_refused_by_what_is_wrong(
    keyed: KeyedGateway,
    account: Any,
    refused: Refused,
    metadata: tuple[tuple[str, str], ...],
    reason: str,
) -> None:
    key = await keyed.make_key()
    other = ApiKeyText.draw()
    texts = {
        "key": key,
        "short": str(key)[:-1],
        "wrong": ApiKeyText(key.key_id, other.secret),
        "unknown": other,
    }
    sent = tuple((name, value.format(**texts)) for name, value in metadata)
    refusal = await refused(account.GetCaller(WHO, metadata=sent))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert key.secret not in refusal.message


async def test_a_revoked_key_opens_nothing_in_the_very_next_call(
    keyed: KeyedGateway, account: Any, refused: Refused
) -> None:
    key = await keyed.make_key()
    operator = await keyed.make_key()
    await account.GetCaller(WHO, metadata=(("x-api-key", str(key)),))
    async with AsyncClient(keyed.address, api_key=str(operator)) as client:
        await client.revoke_api_key(key.key_id)
    refusal = await refused(account.GetCaller(WHO, metadata=(("x-api-key", str(key)),)))
    assert refusal.reason == "API_KEY_REVOKED"


async def test_a_key_whose_time_is_over_is_refused(
    keyed: KeyedGateway, account: Any, refused: Refused
) -> None:
    key = await keyed.make_key(expire_seconds=-1)
    refusal = await refused(account.GetCaller(WHO, metadata=(("x-api-key", str(key)),)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_EXPIRED")


async def test_whoever_lacks_the_scope_is_told_which(keyed: KeyedGateway) -> None:
    reader = await keyed.make_key(Scope.VIDEOS_READ)
    async with AsyncClient(keyed.address, api_key=str(reader)) as client:
        assert [video async for video in client.list_videos()] == []
        for call in (client.create_video("a red circle"), client.get_worker("a")):
            with pytest.raises(PermissionDeniedError) as raised:
                await call
            assert raised.value.reason == "PERMISSION_DENIED"
        with pytest.raises(PermissionDeniedError, match="lacks the scope admin"):
            await anext(client.watch_workers())


async def test_streams_and_uploads_are_refused_too(keyed: KeyedGateway, refused: Refused) -> None:
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        videos: Any = video_service_pb2_grpc.VideoServiceStub(channel)
        watch = videos.WatchVideo(video_service_pb2.WatchVideoRequest(name="videos/x"))
        assert (await refused(watch.read())).code == grpc.StatusCode.UNAUTHENTICATED
        upload = videos.UploadMedia(iter([video_service_pb2.UploadMediaRequest()]))
        assert (await refused(upload)).code == grpc.StatusCode.UNAUTHENTICATED


async def test_a_video_is_its_key_s_tenant_s(keyed: KeyedGateway) -> None:
    ours, theirs = await keyed.make_key(tenant="acme"), await keyed.make_key(tenant="other")
    async with (
        AsyncClient(keyed.address, api_key=str(ours)) as we,
        AsyncClient(keyed.address, api_key=lambda: str(theirs)) as they,
    ):
        video = await we.create_video("a red circle")
        assert (await we.get_video(video.name)).name == video.name
        with pytest.raises(NotFoundError):
            await they.get_video(video.name)


async def test_a_key_s_tiers_bind_its_videos(keyed: KeyedGateway) -> None:
    key = await keyed.make_key(tiers=(video_pb2.TIER_BATCH, video_pb2.TIER_STANDARD))
    async with AsyncClient(keyed.address, api_key=str(key)) as client:
        assert (await client.create_video("a")).spec.tier == video_pb2.TIER_BATCH
        standard = await client.create_video("a", tier=video_pb2.TIER_STANDARD)
        assert standard.spec.tier == video_pb2.TIER_STANDARD
        with pytest.raises(PermissionDeniedError, match="TIER_PREMIUM") as raised:
            await client.create_video("a", tier=video_pb2.TIER_PREMIUM)
        assert raised.value.field == "spec.tier"


async def test_callers_side_by_side_are_not_mixed_up(keyed: KeyedGateway, account: Any) -> None:
    keys = {f"tenant-{n}": await keyed.make_key(tenant=f"tenant-{n}") for n in range(8)}

    async def tenant_seen(key: ApiKeyText) -> str:
        return str((await account.GetCaller(WHO, metadata=(("x-api-key", str(key)),))).tenant)

    rounds = [await asyncio.gather(*map(tenant_seen, keys.values())) for _ in range(10)]
    assert rounds == [list(keys)] * 10


async def test_health_and_reflection_are_open(keyed: KeyedGateway) -> None:
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("place", ["?api_key={}", "?access_token={}", "/{}"])
async def test_a_key_in_the_path_opens_nothing(keyed: KeyedGateway, place: str) -> None:
    key = await keyed.make_key()
    path = "/telecine.v1.AccountService/GetCaller" + place.format(key)
    async with grpc.aio.insecure_channel(keyed.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(path)(b"")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_no_secret_gets_into_the_log_or_the_store(
    keyed: KeyedGateway, account: Any, refused: Refused, capfd: pytest.CaptureFixture[str]
) -> None:
    key = await keyed.make_key()
    await account.GetCaller(WHO, metadata=(("x-api-key", str(key)),))
    wrong = ApiKeyText(ApiKeyText.draw().key_id, key.secret)
    await refused(account.GetCaller(WHO, metadata=(("x-api-key", str(wrong)),)))
    told = capfd.readouterr()
    assert key.secret not in told.out + told.err
    stored = [await keyed.redis.dump(name) async for name in keyed.redis.scan_iter()]
    assert stored
    assert all(key.secret.encode() not in value for value in stored)
    assert key.secret not in repr(key)


async def test_the_use_of_a_key_is_noted_once_a_minute(keyed: KeyedGateway, account: Any) -> None:
    key = await keyed.make_key()
    name = f"apiKeys/{key.key_id}"
    assert not (await keyed.keys.get(name)).HasField("last_use_time")
    await account.GetCaller(WHO, metadata=(("x-api-key", str(key)),))
    first = (await keyed.keys.get(name)).last_use_time
    await account.GetCaller(WHO, metadata=(("x-api-key", str(key)),))
    assert (await keyed.keys.get(name)).last_use_time == first
    assert first.seconds > 0


async def test_a_client_without_a_key_is_told_how_to_bring_one(keyed: KeyedGateway) -> None:
    async with AsyncClient(keyed.address, api_key="") as client:
        with pytest.raises(UnauthenticatedError, match="authorization: Bearer KEY") as raised:
            await client.get_caller()
    assert raised.value.reason == "CREDENTIALS_MISSING"
