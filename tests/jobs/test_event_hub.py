"""Watching videos: every event once and in order, whatever happens in between."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis
from submissions import MODEL, claim_next, make_step, make_submission

from telecine.errors import (
    EventsTrimmedError,
    InvalidFieldError,
    NotFoundError,
    StoreUnavailableError,
)
from telecine.jobs.event_hub import EventHub
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease
from telecine.jobs.keys import events_key, queue_key
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2

NUM_WATCHERS = 20


@pytest.fixture
async def hub(client: Redis) -> AsyncIterator[EventHub]:
    event_hub = EventHub(client, heartbeat_seconds=60.0)
    yield event_hub
    await event_hub.close()


async def watch_all(hub: EventHub, name: str, after: str = "") -> list[video_pb2.VideoEvent]:
    return [event async for event in hub.watch(name, after=after) if event.event_id]


async def start_video(store: JobStore) -> Lease:
    await store.submit(make_submission())
    return (await claim_next(store)).lease


async def finish_steps(store: JobStore, lease: Lease, steps: range) -> None:
    for step_index in steps:
        await store.finish_step(lease, make_step(step_index, preview=b"p" * (step_index % 5)))


def event_log_key(name: str) -> str:
    return events_key(queue_key("0"), name.removeprefix("videos/"))


async def test_watcher_sees_past_and_coming_events_and_then_the_end(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    await finish_steps(store, lease, range(1, 6))
    watching = asyncio.create_task(watch_all(hub, lease.video_name))
    await asyncio.sleep(0.05)
    await finish_steps(store, lease, range(6, 11))
    await store.complete(lease, [])
    seen = await watching
    assert seen == await EventLog(client).read(lease.video_name)
    assert seen[-1].state_changed.state == video_pb2.Video.STATE_SUCCEEDED


async def test_first_event_is_the_place_in_the_queue(store: JobStore, hub: EventHub) -> None:
    await store.submit(make_submission())
    video = await store.submit(make_submission())
    async for event in hub.watch(video.name):
        assert event.state_changed.state == video_pb2.Video.STATE_QUEUED
        assert event.state_changed.queue_position == 1
        assert event.HasField("event_time")
        break


async def test_many_watchers_see_the_same_events_from_one_read_each(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    watching = [asyncio.create_task(watch_all(hub, lease.video_name)) for _ in range(NUM_WATCHERS)]
    await asyncio.sleep(0.05)
    before = (await client.info("commandstats"))["cmdstat_xrange"]["calls"]
    await finish_steps(store, lease, range(1, 11))
    await store.complete(lease, [])
    seen = await asyncio.gather(*watching)
    num_reads = (await client.info("commandstats"))["cmdstat_xrange"]["calls"] - before
    log = await EventLog(client).read(lease.video_name)
    assert all(events == log for events in seen)
    # Two commands a read, at most one read an event, however many watch.
    assert num_reads <= 2 * len(log)


async def test_watch_resumes_after_every_event(store: JobStore, hub: EventHub) -> None:
    lease = await start_video(store)
    await finish_steps(store, lease, range(1, 6))
    await store.complete(lease, [])
    log = await watch_all(hub, lease.video_name)
    for number, event in enumerate(log, start=1):
        assert await watch_all(hub, lease.video_name, event.event_id) == log[number:]


async def test_reconnecting_watcher_sees_every_event_once(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)

    async def watch_in_pieces() -> list[str]:
        ids: list[str] = []
        while True:
            pieces = 0
            async for event in hub.watch(lease.video_name, after=ids[-1] if ids else ""):
                ids.append(event.event_id)
                pieces += 1
                if event.state_changed.state == video_pb2.Video.STATE_SUCCEEDED:
                    return ids
                if pieces == 3:
                    break

    watching = asyncio.create_task(watch_in_pieces())
    await finish_steps(store, lease, range(1, 21))
    await store.complete(lease, [])
    log = await EventLog(client).read(lease.video_name)
    assert await watching == [event.event_id for event in log]


async def test_quiet_watch_has_heartbeats_without_an_id(store: JobStore, client: Redis) -> None:
    hub = EventHub(client, heartbeat_seconds=0.02)
    video = await store.submit(make_submission())
    ids = []
    async for event in hub.watch(video.name):
        ids.append(event.event_id)
        if len(ids) == 4:
            break
    assert ids[0]
    assert ids[1:] == ["", "", ""]
    await hub.close()


async def test_watched_video_in_the_queue_tells_its_new_place(
    store: JobStore, client: Redis
) -> None:
    hub = EventHub(client, heartbeat_seconds=0.05)
    first = await store.submit(make_submission())
    second = await store.submit(make_submission())
    positions = []
    async for event in hub.watch(second.name):
        if event.HasField("queue_moved"):
            positions.append(event.queue_moved.queue_position)
            break
        if event.event_id:
            positions.append(event.state_changed.queue_position)
            await store.cancel(first.name)
    assert positions == [1, 0]
    await hub.close()


async def test_watched_video_that_was_told_why_it_waits_tells_its_new_place(
    store: JobStore, hub: EventHub
) -> None:
    first = await store.submit(make_submission())
    second = await store.submit(make_submission())
    await store.notify_waiting(MODEL, reason="AWAY", message="it is away")
    async with asyncio.timeout(10), aclosing(hub.watch(second.name)) as events:
        async for event in events:
            if event.HasField("notice"):
                await store.cancel(first.name)
            if event.HasField("queue_moved"):
                assert event.queue_moved.queue_position == 0
                break


async def test_stalled_watcher_falls_back_to_the_log_and_holds_no_memory(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    stalled = hub.watch(lease.video_name)
    first = await anext(stalled)
    preview = b"x" * 50_000
    tracemalloc.start()
    for step_index in range(1, 301):
        await store.finish_step(lease, make_step(step_index, preview=preview))
    await asyncio.sleep(0.1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000_000  # of 15 MB of previews
    await store.complete(lease, [])
    rest = [event.event_id async for event in stalled]
    log = await EventLog(client).read(lease.video_name, limit=10_000)
    assert [first.event_id, *rest] == [event.event_id for event in log]


async def test_watch_goes_on_after_redis_was_restarted(
    server: RedisServer, store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    watching = asyncio.create_task(watch_all(hub, lease.video_name))
    await finish_steps(store, lease, range(1, 4))
    server.kill()
    await asyncio.sleep(0.3)
    server.start()
    await finish_steps(store, lease, range(4, 7))
    await store.complete(lease, [])
    assert await watching == await EventLog(client).read(lease.video_name)


async def test_watch_ends_cleanly_when_redis_stays_away(
    server: RedisServer, store: JobStore, client: Redis
) -> None:
    hub = EventHub(client, outage_seconds=0.1)
    lease = await start_video(store)
    seen: list[str] = []

    async def watch() -> None:
        async for event in hub.watch(lease.video_name):
            seen.append(event.event_id)

    watching = asyncio.create_task(watch())
    while not seen:  # noqa: ASYNC110 - the watcher fills it
        await asyncio.sleep(0.01)
    server.kill()
    with pytest.raises(StoreUnavailableError):
        await watching
    with pytest.raises(StoreUnavailableError):
        await watch_all(hub, lease.video_name)
    server.start()
    await store.complete(lease, [])
    resumed = await watch_all(hub, lease.video_name, seen[-1])
    assert [event.state_changed.state for event in resumed] == [video_pb2.Video.STATE_SUCCEEDED]
    await hub.close()


async def test_event_shown_by_another_process_first_is_known(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    watching = asyncio.create_task(watch_all(hub, lease.video_name))
    await asyncio.sleep(0.05)
    await store.finish_step(lease, make_step(1))
    newest = (await EventLog(client).read(lease.video_name))[-1].event_id
    second = asyncio.create_task(watch_all(hub, lease.video_name, newest))
    await asyncio.sleep(0)
    await store.complete(lease, [])
    assert len(await second) == 1
    assert len(await watching) == 4


async def test_watching_what_does_not_exist_is_not_found(hub: EventHub) -> None:
    with pytest.raises(NotFoundError):
        await watch_all(hub, "videos/none")


async def test_watching_what_is_deleted_meanwhile_ends(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    watching = hub.watch(lease.video_name)
    for _ in range(2):
        await anext(watching)
    waits = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0.02)
    # The store deletes ended videos only: this is an operator's hand, or another shard's data.
    await client.delete(event_log_key(lease.video_name))
    await client.xadd("telecine:{0}:notify", {"video": lease.video_name.removeprefix("videos/")})
    with pytest.raises(NotFoundError):
        await waits


@pytest.mark.parametrize("after", ["x", "1", "1-", "-1", "1-2-3", "٣-٤", " 1-1", "9" * 30 + "-0"])
async def test_malformed_event_id_names_its_field(
    store: JobStore, hub: EventHub, after: str
) -> None:
    video = await store.submit(make_submission())
    with pytest.raises(InvalidFieldError) as error:
        await watch_all(hub, video.name, after)
    assert error.value.field == "after_event_id"


async def test_event_id_that_has_not_been_yet_is_refused(store: JobStore, hub: EventHub) -> None:
    video = await store.submit(make_submission())
    with pytest.raises(InvalidFieldError):
        await watch_all(hub, video.name, "999999999999999-0")


async def test_events_that_were_trimmed_are_missed_aloud(
    store: JobStore, hub: EventHub, client: Redis
) -> None:
    lease = await start_video(store)
    await finish_steps(store, lease, range(1, 11))
    await store.complete(lease, [])
    log = await EventLog(client).read(lease.video_name)
    await client.xtrim(event_log_key(lease.video_name), maxlen=5, approximate=False)
    with pytest.raises(EventsTrimmedError):
        await watch_all(hub, lease.video_name, log[2].event_id)
    assert await watch_all(hub, lease.video_name) == log[-5:]
    assert await watch_all(hub, lease.video_name, log[-3].event_id) == log[-2:]


async def test_hub_that_closes_ends_its_watches(store: JobStore, hub: EventHub) -> None:
    lease = await start_video(store)
    watching = asyncio.create_task(watch_all(hub, lease.video_name))
    await asyncio.sleep(0.05)
    await hub.close()
    with pytest.raises(StoreUnavailableError):
        await watching
