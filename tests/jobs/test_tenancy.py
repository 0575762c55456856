"""What one tenant can do to the videos of another: nothing, not even learn that they are there."""

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from submissions import make_submission

from telecine.errors import NotFoundError
from telecine.jobs.event_hub import EventHub
from telecine.jobs.job_store import JobStore
from telecine.v1 import video_pb2

Call = Callable[[JobStore, str, str], Awaitable[video_pb2.Video]]
CALLS: dict[str, Call] = {
    "get": lambda store, name, tenant: store.get(name, tenant=tenant),
    "cancel": lambda store, name, tenant: store.cancel(name, tenant=tenant),
    "pause": lambda store, name, tenant: store.pause(name, tenant=tenant),
    "resume": lambda store, name, tenant: store.resume(name, tenant=tenant),
    "delete": lambda store, name, tenant: store.delete(name, tenant=tenant),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_another_tenants_video_is_not_found_and_stays_as_it_is(
    store: JobStore, call: Call
) -> None:
    video = await store.submit(make_submission(tenant="alice"))
    with pytest.raises(NotFoundError):
        await call(store, video.name, "bob")
    assert await store.get(video.name) == video


async def test_its_own_tenant_finds_and_ends_it(store: JobStore) -> None:
    video = await store.submit(make_submission(tenant="alice"))
    assert await store.get(video.name, tenant="alice") == video
    cancelled = await store.cancel(video.name, tenant="alice")
    assert cancelled.state == video_pb2.Video.STATE_CANCELLED
    await store.delete(video.name, tenant="alice")
    with pytest.raises(NotFoundError):
        await store.get(video.name)


async def test_another_tenants_events_are_not_found(store: JobStore, client: Redis) -> None:
    video = await store.submit(make_submission(tenant="alice"))
    hub = EventHub(client)
    try:
        with pytest.raises(NotFoundError):
            await anext(hub.watch(video.name, tenant="bob"))
        first = await anext(hub.watch(video.name, tenant="alice"))
        assert first.state_changed.state == video_pb2.Video.STATE_QUEUED
    finally:
        await hub.close()
