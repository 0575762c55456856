"""Where deleted resources stood in their tenants' lists, remembered for an hour.

Who deletes the last one of a page can then still ask for the page after it.
"""

from typing import Any

from redis.asyncio import Redis

from telecine.jobs.redis_client import translated_errors

_KEPT_SECONDS = 3600


async def keep_place(redis: Redis, key: str, place: str) -> None:
    """Remembers a place under a key of the resource's own."""
    with translated_errors():
        await redis.set(key, place, ex=_KEPT_SECONDS)


async def kept_place(redis: Redis, key: str) -> str | None:
    """Returns the place that is remembered under a key, None where none is."""
    with translated_errors():
        place: Any = await redis.get(key)
    return None if place is None else str(place.decode())
