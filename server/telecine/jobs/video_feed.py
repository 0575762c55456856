"""Tells who watches all videos of a tenant which of them have changed."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from telecine.errors import StoreUnavailableError, TelecineError
from telecine.jobs.change_log import changed_since
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_types import VideoQuery
from telecine.jobs.keys import notify_key, queue_key, video_id_of, video_name, watched_key
from telecine.jobs.redis_client import blocking_twin, translated_errors
from telecine.jobs.transitions import ENDED_STATES
from telecine.jobs.video_listing import list_page
from telecine.jobs.video_record import assemble_video, decode_record
from telecine.v1 import video_pb2

_BLOCK_SECONDS = 5.0
_ANSWER_SECONDS = 5.0  # how late Redis may answer before it counts as gone
_NOTIFICATIONS_AT_ONCE = 1000
_WATCHED_SECONDS = 60
_RENEW_SECONDS = 20.0
_COALESCED_SECONDS = 0.2
_READ_AT_ONCE = 50
_ACTIVE_STATES = tuple(
    state
    for name, state in video_pb2.Video.State.items()
    if state and name.removeprefix("STATE_") not in ENDED_STATES
)


@dataclass(frozen=True)
class VideoChange:
    """A video as it is now, None where it was deleted; both None for a heartbeat.

    Attributes:
        place: where a later watch goes on after this change; empty where more changes belong to it.
        is_gap: in a heartbeat, whether changes before it are known no more.
    """

    name: str | None = None
    video: video_pb2.Video | None = None
    place: str = field(default="", compare=False)
    is_gap: bool = False


@dataclass(eq=False)
class _Watcher:
    tenant: str
    changed_ids: set[str] = field(default_factory=set)
    is_changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[str, bytes] = field(default_factory=dict)


class VideoFeed:
    """Follows the stream of changes once for all watchers of a process.

    Args:
        redis: a client of the store.
        shard: the shard whose videos are watched.
        heartbeat_seconds: how long a watcher hears nothing before it gets a heartbeat.
    """

    def __init__(self, redis: Redis, *, shard: str = "0", heartbeat_seconds: float = 15.0) -> None:
        self._redis = redis
        self._queue = queue_key(shard)
        self._library = FunctionLibrary(redis, self._queue)
        self._heartbeat_seconds = heartbeat_seconds
        self._watchers: set[_Watcher] = set()
        self._failure: TelecineError | None = None
        self._reading: asyncio.Task[None] | None = None
        self._has_cursor = asyncio.Event()
        self._cursor = b"0-0"
        self._renew_time = 0.0

    async def watch(self, tenant: str, *, after: str = "") -> AsyncGenerator[VideoChange, None]:
        """Yields every video that has not ended, then each one that has changed.

        Those that have changed since the place `after` come first, those that have ended too.

        Raises:
            InvalidFieldError: `after` is no place.
            StoreUnavailableError: Redis cannot be reached.
        """
        watcher = _Watcher(tenant)
        self._watchers.add(watcher)
        try:
            await self._start(tenant)
            # After it was made known to the reader: no change can fall between the two.
            place = self._cursor
            if after:
                for change in await self._missed(watcher, after, place):
                    yield change
            for change in _placed(await self._list_active(watcher), place):
                yield change
            while self._failure is None:
                for change in await self._wait_for_changes(watcher):
                    yield change
            raise self._failure
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                await self._stop()

    async def close(self) -> None:
        """Ends all watches."""
        await self._stop()
        self._fail(StoreUnavailableError("the gateway is stopping"))

    async def _start(self, tenant: str) -> None:
        await self._mark_watched(tenant)
        if self._reading is None or self._reading.done():
            self._failure = None
            self._has_cursor.clear()
            self._reading = asyncio.create_task(self._follow())
        await self._has_cursor.wait()
        if self._failure is not None:
            raise self._failure

    async def _mark_watched(self, tenant: str) -> None:
        with translated_errors():
            await self._redis.set(watched_key(self._queue, tenant), 1, ex=_WATCHED_SECONDS)

    async def _renew_marks(self) -> None:
        """Marks on, now and then, whose videos are watched: a client may be slow to take them."""
        if time.monotonic() < self._renew_time:
            return
        self._renew_time = time.monotonic() + _RENEW_SECONDS
        for tenant in {watcher.tenant for watcher in self._watchers}:
            await self._mark_watched(tenant)

    async def _list_active(self, watcher: _Watcher) -> list[VideoChange]:
        changes: list[VideoChange] = []
        page_token = ""
        while True:
            query = VideoQuery(watcher.tenant, states=_ACTIVE_STATES, page_token=page_token)
            page = await list_page(self._redis, self._library, query)
            for video in page.videos:
                changes += _news(watcher, video)
            page_token = page.next_page_token
            if not page_token:
                return changes

    async def _wait_for_changes(self, watcher: _Watcher) -> list[VideoChange]:
        try:
            async with asyncio.timeout(self._heartbeat_seconds):
                await watcher.is_changed.wait()
        except TimeoutError:
            return [VideoChange(place="" if watcher.changed_ids else self._cursor.decode())]
        await asyncio.sleep(_COALESCED_SECONDS)
        watcher.is_changed.clear()
        changed_ids, place = sorted(watcher.changed_ids), self._cursor
        watcher.changed_ids.clear()
        return _placed(await self._read_all(watcher, changed_ids), place)

    async def _missed(self, watcher: _Watcher, after: str, place: bytes) -> list[VideoChange]:
        """Returns what has changed between two places."""
        changed_ids = await changed_since(
            self._redis, self._queue, watcher.tenant, after=after, until=place
        )
        if changed_ids is None:
            return [VideoChange(is_gap=True)]
        return await self._read_all(watcher, sorted(changed_ids))

    async def _read_all(self, watcher: _Watcher, video_ids: list[str]) -> list[VideoChange]:
        changes: list[VideoChange] = []
        for start in range(0, len(video_ids), _READ_AT_ONCE):
            changes += await self._read(watcher, video_ids[start : start + _READ_AT_ONCE])
        return changes

    async def _read(self, watcher: _Watcher, video_ids: list[str]) -> list[VideoChange]:
        snapshots: Any = await self._library.read("get_many", {"videos": ",".join(video_ids)})
        changes: list[VideoChange] = []
        gone = set(video_ids)
        for answer, position, start_micros in snapshots:
            video = assemble_video(
                decode_record(answer), queue_position=position, start_micros=start_micros
            )
            gone.discard(video_id_of(video.name))
            changes += _news(watcher, video)
        for video_id in gone:
            name = video_name(video_id)
            watcher.told.pop(name, None)
            changes.append(VideoChange(name))
        return changes

    async def _follow(self) -> None:
        blocking = blocking_twin(self._redis)
        try:
            with translated_errors():
                newest: Any = await self._redis.xrevrange(notify_key(self._queue), count=1)
            self._cursor = newest[0][0] if newest else b"0-0"
            self._has_cursor.set()
            while True:
                await self._renew_marks()
                await self._note_changes(blocking)
        except TelecineError as failure:
            self._fail(failure)
        except Exception as error:
            self._fail(StoreUnavailableError(f"the reader of changes failed: {error}"))
            raise
        finally:
            await blocking.aclose()

    async def _note_changes(self, blocking: Redis) -> None:
        with translated_errors():
            async with asyncio.timeout(_BLOCK_SECONDS + _ANSWER_SECONDS):
                answer: Any = await blocking.xread(
                    {notify_key(self._queue): self._cursor},
                    count=_NOTIFICATIONS_AT_ONCE,
                    block=int(_BLOCK_SECONDS * 1000),
                )
        entries = answer[0][1] if answer else []
        for _, fields in entries:
            tenant = fields.get(b"tenant", b"").decode()
            for watcher in self._watchers:
                if watcher.tenant == tenant:
                    watcher.changed_ids.add(fields[b"video"].decode())
                    watcher.is_changed.set()
        if entries:
            self._cursor = entries[-1][0]

    async def _stop(self) -> None:
        # Given up first: who comes to watch while it ends starts another.
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _fail(self, failure: TelecineError) -> None:
        self._failure = failure
        self._has_cursor.set()
        for watcher in self._watchers:
            watcher.is_changed.set()


def _news(watcher: _Watcher, video: video_pb2.Video) -> list[VideoChange]:
    """Returns the change, unless the watcher was told of the video just so."""
    shown = video.SerializeToString(deterministic=True)
    if watcher.told.get(video.name) == shown:
        return []
    if video_pb2.Video.State.Name(video.state).removeprefix("STATE_") in ENDED_STATES:
        watcher.told.pop(video.name, None)  # it changes no more
    else:
        watcher.told[video.name] = shown
    return [VideoChange(video.name, video)]


def _placed(changes: list[VideoChange], place: bytes) -> list[VideoChange]:
    """Returns changes of which the last one says that all were sent; a heartbeat for none."""
    *others, last = changes or [VideoChange()]
    return [*others, replace(last, place=place.decode())]
