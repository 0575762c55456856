"""The event log of a video: one Redis stream, read from after any of its events."""

import re
from typing import Any

from redis.asyncio import Redis

from telecine.errors import EventsTrimmedError, InvalidFieldError, NotFoundError
from telecine.jobs.events import decode_event
from telecine.jobs.keys import events_key, queue_key, video_id_of, video_key
from telecine.jobs.redis_client import translated_errors
from telecine.v1 import video_pb2

EventId = tuple[int, int]

_EVENT_ID = re.compile(r"(\d{1,18})-(\d{1,18})")


def parse_event_id(event_id: str) -> EventId:
    """Returns an event's id as numbers, whose order is that of the log.

    Raises:
        InvalidFieldError: it is no id of an event.
    """
    match = _EVENT_ID.fullmatch(event_id)
    if match is None or not event_id.isascii():
        raise InvalidFieldError("after_event_id", "is not the id of an event")
    return int(match.group(1)), int(match.group(2))


class EventLog:
    """Reads the events of the videos of one shard."""

    def __init__(self, redis: Redis, *, shard: str = "0") -> None:
        self._redis = redis
        self._queue = queue_key(shard)

    async def read(
        self, name: str, *, after: str = "", limit: int = 256
    ) -> list[video_pb2.VideoEvent]:
        """Returns a video's next events; the oldest that are kept where `after` is empty.

        Raises:
            NotFoundError: there is no such video.
            EventsTrimmedError: events after `after` are no longer kept.
            InvalidFieldError: `after` is no id of an event.
            StoreUnavailableError: Redis cannot be reached.
        """
        after_id = parse_event_id(after) if after else None
        events, oldest = await self._read(name, f"({after}" if after else "-", limit)
        if after_id is not None and oldest is not None and after_id < oldest:
            raise EventsTrimmedError(f"events of {name} after {after} are no longer kept")
        return events

    async def read_newest(self, name: str, *, limit: int) -> list[video_pb2.VideoEvent]:
        """Returns a video's newest events, oldest first.

        Raises:
            NotFoundError: there is no such video.
            StoreUnavailableError: Redis cannot be reached.
        """
        video_id = video_id_of(name)
        with translated_errors():
            entries: Any = await self._redis.xrevrange(
                events_key(self._queue, video_id), count=limit
            )
        if not entries:
            raise NotFoundError(name)
        return [decode_event(*entry) for entry in reversed(entries)]

    async def _read(
        self, name: str, start: str, limit: int
    ) -> tuple[list[video_pb2.VideoEvent], EventId | None]:
        """Returns events, and the id of the oldest one kept where older ones were trimmed."""
        video_id = video_id_of(name)
        log = events_key(self._queue, video_id)
        with translated_errors():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.hget(video_key(self._queue, video_id), "first_event_id")
                pipeline.xrange(log, count=1)
                pipeline.xrange(log, min=start, count=limit)
                first, oldest, entries = await pipeline.execute()
        if first is None or not oldest:
            raise NotFoundError(name)
        is_trimmed = oldest[0][0] != first
        events = [decode_event(*entry) for entry in entries]
        return events, parse_event_id(oldest[0][0].decode()) if is_trimmed else None
