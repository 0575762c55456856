"""What the notify stream tells of changes that nobody was there to see."""

from typing import Any

import redis.exceptions
from redis.asyncio import Redis

from telecine.jobs.event_log import EventId, parse_event_id
from telecine.jobs.keys import notify_key
from telecine.jobs.redis_client import translated_errors

_READ_AT_ONCE = 1000


async def changed_since(
    client: Redis, queue: str, tenant: str, *, after: str, until: bytes
) -> set[str] | None:
    """Returns the ids of a tenant's videos that changed between two entries of the stream.

    None where it no longer reaches back that far, or never had an entry so late: the store was
    made anew, say.

    Raises:
        InvalidFieldError: `after` is no id of an entry.
        StoreUnavailableError: Redis cannot be reached.
    """
    first, last = parse_event_id(after), parse_event_id(until.decode())
    with translated_errors():
        if first > last or await _has_lost_since(client, queue, first):
            return None
        changed: set[str] = set()
        while True:
            entries: Any = await client.xrange(
                notify_key(queue), f"({after}", until, count=_READ_AT_ONCE
            )
            for _, fields in entries:
                if fields.get(b"tenant") == tenant.encode():
                    changed.add(fields[b"video"].decode())
            if len(entries) < _READ_AT_ONCE:
                return changed
            after = entries[-1][0].decode()


async def _has_lost_since(client: Redis, queue: str, place: EventId) -> bool:
    """Returns whether entries after a place may have been trimmed away."""
    try:
        known: Any = await client.xinfo_stream(notify_key(queue))
    except redis.exceptions.ResponseError:  # no entry was ever written
        return False
    if known["entries-added"] == known["length"]:
        return False
    oldest = known["first-entry"] or [known["last-generated-id"]]
    return place < parse_event_id(oldest[0].decode())
