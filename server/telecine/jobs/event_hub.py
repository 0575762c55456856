"""Serves all watchers of a process from one blocking read of Redis.

The notify stream says whose event log has grown; the log of a watched video is then read once,
for all its watchers. A watcher that falls behind reads the log itself: nothing is kept for it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from redis.asyncio import Redis

from telecine.errors import NotFoundError, StoreUnavailableError
from telecine.jobs.event_channel import EventChannel
from telecine.jobs.event_log import EventLog
from telecine.jobs.events import is_last_event, moved_event
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.keys import notify_key, queue_key, video_id_of, video_key
from telecine.jobs.redis_client import blocking_twin, translated_errors
from telecine.v1 import video_pb2

_BLOCK_SECONDS = 5.0
_ANSWER_SECONDS = 5.0  # how late Redis may answer before it counts as gone
_NOTIFICATIONS_AT_ONCE = 1000
_LOGS_READ_AT_ONCE = 16
_TICK_SECONDS = 1.0
_RETRY_SECONDS = 0.2


class EventHub:
    """The watchers of one process.

    Args:
        redis: a client of the store.
        shard: the shard whose videos are watched.
        heartbeat_seconds: how long a watcher hears nothing before it gets a heartbeat.
        outage_seconds: how long Redis may be away before watchers are told so.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        shard: str = "0",
        heartbeat_seconds: float = 15.0,
        outage_seconds: float = 10.0,
    ) -> None:
        self._redis = redis
        self._queue = queue_key(shard)
        self._log = EventLog(redis, shard=shard)
        self._library = FunctionLibrary(redis, self._queue)
        self._heartbeat_seconds = heartbeat_seconds
        self._outage_seconds = outage_seconds
        self._channels: dict[str, EventChannel] = {}
        self._blocking: Redis | None = None
        self._cursor = b"0-0"
        self._tasks: list[asyncio.Task[None]] = []
        self._starts = asyncio.Lock()

    async def watch(
        self, name: str, *, after: str = "", tenant: str = ""
    ) -> AsyncGenerator[video_pb2.VideoEvent, None]:
        """Yields a video's events after `after`, past and coming, each once and in order.

        Ends after the event of the video's end. An event without an id is a heartbeat. The
        events are shared between watchers: do not change them.

        Raises:
            NotFoundError: there is no such video, or it is not that of a given `tenant`.
            EventsTrimmedError: events after `after` are no longer kept.
            InvalidFieldError: `after` is no id of an event of the video.
            StoreUnavailableError: Redis cannot be reached, or was away for too long; watching
                again after the last event loses nothing.
        """
        if tenant:
            await self._require_owner(name, tenant)
        channel = await self._join(name)
        try:
            async for event in self._follow_channel(channel, after):
                yield event
        finally:
            self._leave(channel)

    async def close(self) -> None:
        """Ends all watches and the hub's own connection."""
        self._fail_all(StoreUnavailableError("the gateway is stopping"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._blocking is not None:
            await self._blocking.aclose()
            self._blocking = None

    async def _follow_channel(
        self, channel: EventChannel, after: str
    ) -> AsyncGenerator[video_pb2.VideoEvent, None]:
        place = await channel.find_place(after)
        num_heartbeats = channel.num_heartbeats
        while True:
            events = None if place is None else channel.events_from(place)
            is_behind = events is None
            if events is None:
                events = await self._log.read(channel.name, after=after)
            for event in events:
                yield event
                after = event.event_id
                if is_last_event(event):
                    return
            if is_behind:
                place = await channel.find_place(after)
            elif events and place is not None:
                place += len(events)
            elif channel.failure is not None:
                raise channel.failure
            elif channel.has_ended:
                return
            elif channel.num_heartbeats != num_heartbeats:
                num_heartbeats = channel.num_heartbeats
                yield video_pb2.VideoEvent()
            else:
                await channel.wait()

    async def _require_owner(self, name: str, tenant: str) -> None:
        with translated_errors():
            owner: Any = await self._redis.hget(video_key(self._queue, video_id_of(name)), "tenant")
        if owner != tenant.encode():
            raise NotFoundError(name)

    async def _join(self, name: str) -> EventChannel:
        video_id = video_id_of(name)
        await self._start()
        channel = self._channels.get(video_id)
        if channel is None:
            channel = self._channels[video_id] = EventChannel(name, self._log)
        channel.num_watchers += 1
        try:
            # After it was made known to the reader: no event can fall between the two.
            await channel.load()
        except BaseException:
            self._leave(channel)
            raise
        return channel

    def _leave(self, channel: EventChannel) -> None:
        channel.num_watchers -= 1
        if channel.num_watchers == 0:
            self._drop(channel)

    def _drop(self, channel: EventChannel) -> None:
        video_id = video_id_of(channel.name)
        if self._channels.get(video_id) is channel:
            del self._channels[video_id]

    async def _start(self) -> None:
        """Starts to listen, unless the hub listens already."""
        async with self._starts:
            if self._tasks and not any(task.done() for task in self._tasks):
                return
            await self._find_cursor()
            for task in self._tasks:
                task.cancel()
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tick())]

    async def _find_cursor(self) -> None:
        with translated_errors():
            newest: Any = await self._redis.xrevrange(notify_key(self._queue), count=1)
        self._cursor = newest[0][0] if newest else b"0-0"

    async def _listen(self) -> None:
        try:
            while True:
                try:
                    await self._refresh(await self._read_notifications())
                except StoreUnavailableError:
                    await self._ride_out_outage()
        except Exception as error:
            self._fail_all(StoreUnavailableError(f"the event reader failed: {error}"))
            raise

    async def _read_notifications(self) -> set[str]:
        """Waits for the log of any video to grow, and returns the ids of all that did."""
        if self._blocking is None:
            self._blocking = blocking_twin(self._redis)
        with translated_errors():
            async with asyncio.timeout(_BLOCK_SECONDS + _ANSWER_SECONDS):
                answer: Any = await self._blocking.xread(
                    {notify_key(self._queue): self._cursor},
                    count=_NOTIFICATIONS_AT_ONCE,
                    block=int(_BLOCK_SECONDS * 1000),
                )
        entries = answer[0][1] if answer else []
        if entries:
            self._cursor = entries[-1][0]
        return {fields[b"video"].decode() for _, fields in entries}

    async def _refresh(self, video_ids: Iterable[str]) -> None:
        channels = [self._channels[key] for key in video_ids if key in self._channels]
        for start in range(0, len(channels), _LOGS_READ_AT_ONCE):
            batch = channels[start : start + _LOGS_READ_AT_ONCE]
            await asyncio.gather(*map(self._refresh_channel, batch))

    async def _refresh_channel(self, channel: EventChannel) -> None:
        try:
            await channel.refresh()
        except NotFoundError as error:
            self._drop(channel)
            channel.fail(error)

    async def _ride_out_outage(self) -> None:
        """Returns once Redis is back and no watched video can have grown unseen."""
        deadline = time.monotonic() + self._outage_seconds
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                await self._find_cursor()
                await self._refresh(list(self._channels))
            except StoreUnavailableError as error:
                if time.monotonic() > deadline:
                    self._fail_all(error)
            else:
                return

    def _fail_all(self, failure: StoreUnavailableError) -> None:
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            channel.fail(failure)

    async def _tick(self) -> None:
        """Sends heartbeats to the watchers of quiet videos, and places to those in the queue."""
        tick_seconds = min(_TICK_SECONDS, self._heartbeat_seconds)
        while True:
            await asyncio.sleep(tick_seconds)
            for channel in self._channels.values():
                channel.seconds_quiet += tick_seconds
                if channel.seconds_quiet >= self._heartbeat_seconds:
                    channel.beat()
            await self._announce_positions()

    async def _announce_positions(self) -> None:
        waiting = [key for key, channel in self._channels.items() if channel.is_queued]
        if not waiting:
            return
        try:
            await self._library.call(
                "announce_positions", {"videos": ",".join(waiting), "moved_event": moved_event()}
            )
        except StoreUnavailableError:
            return  # the reader tells the watchers, if it lasts
