"""The newest events of one video, read once for all who watch it in this process."""

import asyncio
from bisect import bisect_right
from itertools import islice

from telecine.errors import InvalidFieldError, TelecineError
from telecine.jobs.event_log import EventId, EventLog, parse_event_id
from telecine.jobs.events import is_last_event, is_queue_event
from telecine.v1 import video_pb2

PAGE_EVENTS = 128
_MAX_EVENTS = 1024
_MAX_BYTES = 4 << 20


class EventChannel:
    """Holds a bounded tail of a video's log; a watcher holds no more than its place in it.

    Places count the events that went through the channel, so that they stay right while old
    events leave the tail. All watchers are handed the same event objects.
    """

    def __init__(self, name: str, log: EventLog) -> None:
        self.name = name
        self.num_watchers = 0
        self.num_heartbeats = 0
        self.seconds_quiet = 0.0
        self.failure: TelecineError | None = None
        self._log = log
        self._events: list[video_pb2.VideoEvent] = []
        self._ids: list[EventId] = []
        self._num_bytes = 0
        self._first_place = 0
        self._is_whole = False
        self._reads = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the tail ends with the last event that the video will ever have."""
        return bool(self._events) and is_last_event(self._events[-1])

    @property
    def is_queued(self) -> bool:
        """Whether the video only waits, as far as the tail knows."""
        # What a waiting video is told does not end its waiting.
        told = (event for event in reversed(self._events) if not event.HasField("notice"))
        return any(is_queue_event(event) for event in islice(told, 1))

    async def load(self) -> None:
        """Reads the tail, unless it has been read.

        Raises:
            NotFoundError: there is no such video.
            StoreUnavailableError: Redis cannot be reached.
        """
        async with self._reads:
            if not self._events:
                newest = await self._log.read_newest(self.name, limit=_MAX_EVENTS)
                self._is_whole = len(newest) < _MAX_EVENTS
                self._append(newest)

    async def refresh(self) -> None:
        """Reads what was logged since the last time, and wakes the watchers.

        Raises:
            NotFoundError: the video was deleted.
            StoreUnavailableError: Redis cannot be reached.
        """
        await self.load()
        async with self._reads:
            is_behind = True
            while is_behind:
                last_id = self._events[-1].event_id
                new = await self._log.read(self.name, after=last_id, limit=PAGE_EVENTS)
                self._append(new)
                is_behind = len(new) == PAGE_EVENTS

    def fail(self, failure: TelecineError) -> None:
        """Ends all watches with an error."""
        self.failure = failure
        self._wake()

    def beat(self) -> None:
        """Has every watcher that waits now show that the connection lives."""
        self.num_heartbeats += 1
        self.seconds_quiet = 0.0
        self._wake()

    async def wait(self) -> None:
        """Returns when there may be something new."""
        await self._changed.wait()

    async def find_place(self, after: str) -> int | None:
        """Returns the place after an event, None where the tail does not reach so far back.

        Raises:
            InvalidFieldError: the video has no event so late.
        """
        if not after:
            return 0 if self._is_whole and self._first_place == 0 else None
        event_id = parse_event_id(after)
        if event_id > self._ids[-1]:  # another process may have shown it before we read it
            await self.refresh()
        if event_id > self._ids[-1]:
            raise InvalidFieldError("after_event_id", f"is not the id of an event of {self.name}")
        if event_id < self._ids[0]:
            return None
        return self._first_place + bisect_right(self._ids, event_id)

    def events_from(self, place: int) -> list[video_pb2.VideoEvent] | None:
        """Returns the next events from a place on, None where they have left the tail."""
        index = place - self._first_place
        return self._events[index : index + PAGE_EVENTS] if index >= 0 else None

    def _append(self, events: list[video_pb2.VideoEvent]) -> None:
        if not events:
            return
        self._events.extend(events)
        self._ids.extend(parse_event_id(event.event_id) for event in events)
        self._num_bytes += sum(event.ByteSize() for event in events)
        self.seconds_quiet = 0.0
        self._trim()
        self._wake()

    def _trim(self) -> None:
        num_old = 0
        while len(self._events) - num_old > _MAX_EVENTS or (
            self._num_bytes > _MAX_BYTES and len(self._events) - num_old > 1
        ):
            self._num_bytes -= self._events[num_old].ByteSize()
            num_old += 1
        del self._events[:num_old]
        del self._ids[:num_old]
        self._first_place += num_old

    def _wake(self) -> None:
        # Wakes those who wait now; who comes later looks at the tail first.
        self._changed.set()
        self._changed.clear()
