"""What is known of uploads: whose stored bytes they are, and until when they are kept."""

from typing import Any

from redis.asyncio import Redis

from telecine.jobs.call_batcher import Argument
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.keys import queue_key
from telecine.jobs.store_answers import refusals_raised

MEDIA_COLLECTION = "media/"


class MediaStore:
    """The uploads of one shard (functions/media_calls.lua).

    All methods raise StoreUnavailableError while Redis cannot be reached.

    Args:
        redis: a client of the store.
        kept_seconds: how long an upload is kept after it was made or last used.
    """

    def __init__(self, redis: Redis, *, kept_seconds: float, shard: str = "0") -> None:
        self._library = FunctionLibrary(redis, queue_key(shard))
        self.kept_seconds = kept_seconds

    async def add(
        self, name: str, *, tenant: str, size_bytes: int, max_stored_bytes: int | None
    ) -> None:
        """Counts an upload that is about to be stored.

        Raises:
            QuotaExceededError: its tenant would have more stored than it may.
        """
        arguments = _named(name) | {
            "tenant": tenant,
            "size_bytes": size_bytes,
            "kept_seconds": self.kept_seconds,
        }
        if max_stored_bytes is not None:
            arguments["max_stored_bytes"] = max_stored_bytes
        with refusals_raised():
            await self._library.call("add_media", arguments)

    async def use(self, name: str) -> bool:
        """Puts off the end of an upload; returns whether it may still be used."""
        arguments = _named(name) | {"kept_seconds": self.kept_seconds}
        return bool(await self._library.call("use_media", arguments))

    async def claim_expired(self, *, max_media: int, hold_seconds: int) -> list[str]:
        """Returns uploads whose time is over; others may claim those not removed in the time."""
        arguments: dict[str, Argument] = {"max_media": max_media, "hold_seconds": hold_seconds}
        media_ids: Any = await self._library.call("claim_expired_media", arguments)
        return [f"{MEDIA_COLLECTION}{media_id.decode()}" for media_id in media_ids]

    async def remove(self, name: str) -> None:
        """Forgets an upload that is stored no more."""
        await self._library.call("remove_media", _named(name))


def _named(name: str) -> dict[str, Argument]:
    return {"media": name.removeprefix(MEDIA_COLLECTION)}
