"""Who watches all videos of a tenant is told of every change, and of no other tenant's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis
from submissions import claim_next, make_step, make_submission

from telecine.errors import StoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.jobs.keys import queue_key, watched_key
from telecine.jobs.redis_client import blocking_twin
from telecine.jobs.video_feed import VideoChange, VideoFeed
from telecine.v1 import video_pb2

State = video_pb2.Video


@pytest.fixture
async def feed(client: Redis) -> AsyncIterator[VideoFeed]:
    feed = VideoFeed(client, heartbeat_seconds=0.5)
    yield feed
    await feed.close()


async def next_news(changes: AsyncGenerator[VideoChange, None]) -> VideoChange:
    """The next change that is no heartbeat."""
    while True:
        async with asyncio.timeout(20):
            change = await anext(changes)
        if change.name is not None:
            return change


async def test_videos_that_have_not_ended_come_first_and_new_ones_as_they_are_made(
    store: JobStore, feed: VideoFeed
) -> None:
    ended = await store.submit(make_submission())
    await store.cancel(ended.name)
    waiting = await store.submit(make_submission())
    async with aclosing(feed.watch("alice")) as changes:
        assert (await next_news(changes)).video == waiting
        new = await store.submit(make_submission())
        change = await next_news(changes)
        assert (change.name, change.video and change.video.state) == (new.name, State.STATE_QUEUED)


async def test_every_step_and_the_end_are_told(store: JobStore, feed: VideoFeed) -> None:
    video = await store.submit(make_submission())
    async with aclosing(feed.watch("alice")) as changes:
        await next_news(changes)
        lease = (await claim_next(store)).lease
        running = await next_news(changes)
        assert running.video is not None
        assert running.video.state == State.STATE_RUNNING
        await store.finish_step(lease, make_step(3))
        stepped = await next_news(changes)
        assert stepped.video is not None
        assert stepped.video.step_index == 3
        await store.complete(lease, [])
        ended = await next_news(changes)
        assert ended.video is not None
        assert ended.video.state == State.STATE_SUCCEEDED
        await store.delete(video.name)
        assert await next_news(changes) == VideoChange(video.name)


async def test_another_tenants_changes_are_not_told(store: JobStore, feed: VideoFeed) -> None:
    async with aclosing(feed.watch("bob")) as changes:
        first = asyncio.create_task(next_news(changes))
        await asyncio.sleep(0)
        others = await store.submit(make_submission(tenant="alice"))
        await store.cancel(others.name)
        own = await store.submit(make_submission(tenant="bob"))
        assert (await first).name == own.name


async def test_quiet_watch_brings_heartbeats(feed: VideoFeed) -> None:
    async with aclosing(feed.watch("alice")) as changes, asyncio.timeout(20):
        assert await anext(changes) == VideoChange()
        assert await anext(changes) == VideoChange()


async def test_two_watchers_of_a_tenant_see_the_same(store: JobStore, feed: VideoFeed) -> None:
    video = await store.submit(make_submission())
    async with aclosing(feed.watch("alice")) as one, aclosing(feed.watch("alice")) as two:
        await next_news(one)
        await next_news(two)
        await store.cancel(video.name)
        assert await next_news(one) == await next_news(two)


async def test_who_comes_while_the_last_watcher_leaves_is_told_of_changes(
    store: JobStore, feed: VideoFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_close = asyncio.Event()

    def slow_to_close(client: Redis) -> Redis:
        twin = blocking_twin(client)
        close = twin.aclose

        async def aclose() -> None:
            await may_close.wait()
            await close()

        monkeypatch.setattr(twin, "aclose", aclose)
        return twin

    monkeypatch.setattr("telecine.jobs.video_feed.blocking_twin", slow_to_close)
    last = feed.watch("alice")
    await anext(last)
    leaving = asyncio.create_task(last.aclose())
    await asyncio.sleep(0)  # it ends its reader now
    async with asyncio.timeout(10), aclosing(feed.watch("alice")) as changes:
        await anext(changes)
        may_close.set()
        await leaving
        video = await store.submit(make_submission())
        assert (await next_news(changes)).name == video.name


async def test_who_is_slow_to_take_changes_is_told_of_new_videos(
    store: JobStore, feed: VideoFeed, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.jobs.video_feed._BLOCK_SECONDS", 0.05)
    monkeypatch.setattr("telecine.jobs.video_feed._RENEW_SECONDS", 0.0)
    mark = watched_key(queue_key("0"), "alice")
    async with aclosing(feed.watch("alice")) as changes:
        await anext(changes)
        await client.delete(mark)  # as in a minute in which none was taken
        async with asyncio.timeout(10):
            while not await client.exists(mark):  # noqa: ASYNC110 (another task sets it)
                await asyncio.sleep(0.01)
        video = await store.submit(make_submission())
        assert (await next_news(changes)).name == video.name


async def test_watch_ends_with_an_error_when_the_feed_closes(feed: VideoFeed) -> None:
    changes = feed.watch("alice")
    assert await anext(changes) == VideoChange()
    await feed.close()
    with pytest.raises(StoreUnavailableError):
        await next_news(changes)
