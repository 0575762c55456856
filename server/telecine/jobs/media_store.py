"""What is known of uploads: whose stored bytes they are, and until when they are kept."""

from typing import Any, NamedTuple

from redis.asyncio import Redis

from telecine.errors import NotFoundError
from telecine.jobs.call_batcher import Argument
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.kept_places import keep_place, kept_place
from telecine.jobs.keys import media_place_key, queue_key
from telecine.jobs.store_answers import refusals_raised
from telecine.v1 import video_pb2

MEDIA_COLLECTION = "media/"
_MICROS = 1_000_000


class MediaPage(NamedTuple):
    """Some uploads, newest first."""

    media: list[video_pb2.Media]
    next_place: str
    """Where the next page begins; empty after the last."""


class MediaStore:
    """The uploads of one shard (functions/media_calls.lua).

    All methods raise StoreUnavailableError while Redis cannot be reached.

    Args:
        redis: a client of the store.
        kept_seconds: how long an upload is kept after it was made or last used.
    """

    def __init__(self, redis: Redis, *, kept_seconds: float, shard: str = "0") -> None:
        self._redis = redis
        self._library = FunctionLibrary(redis, queue_key(shard))
        self.kept_seconds = kept_seconds

    async def add(
        self, media: video_pb2.Media, *, tenant: str, max_stored_bytes: int | None
    ) -> None:
        """Counts an upload that is about to be stored, and sets when it was made and will end.

        Raises:
            QuotaExceededError: its tenant would have more stored than it may.
        """
        arguments = _named(media.name) | {
            "tenant": tenant,
            "content_type": media.content_type,
            "size_bytes": media.size_bytes,
            "kept_seconds": self.kept_seconds,
        }
        if max_stored_bytes is not None:
            arguments["max_stored_bytes"] = max_stored_bytes
        with refusals_raised():
            create_micros = int(await self._library.call("add_media", arguments))
        media.create_time.FromMicroseconds(create_micros)
        media.expire_time.FromMicroseconds(create_micros + int(self.kept_seconds * _MICROS))

    async def finish(self, media: video_pb2.Media) -> None:
        """Lists an upload, whose bytes are stored by now."""
        await self._library.call("finish_media", _named(media.name) | {"digest": media.digest})

    async def get(self, name: str) -> video_pb2.Media:
        """Returns an upload.

        Raises:
            NotFoundError: there is none, or its time is over.
        """
        answer = await self._library.read("get_media", _named(name))
        if answer is None:
            raise NotFoundError(name)
        return _media_in(answer)

    async def list_media(self, tenant: str, *, page_size: int, place: str) -> MediaPage:
        """Returns a page of a tenant's uploads, newest first.

        It may hold fewer than asked for and still not be the last.
        """
        arguments: dict[str, Argument] = {
            "tenant": tenant,
            "before": f"({place}" if place else "+inf",
            "max_media": page_size,
        }
        last, answers = await self._library.read("list_media", arguments)
        return MediaPage([_media_in(answer) for answer in answers], last.decode())

    async def keep_place(self, media: video_pb2.Media, *, tenant: str) -> None:
        """Remembers, for a while, where a deleted upload stood in its tenant's list."""
        await keep_place(self._redis, self._place_key(media.name, tenant), place_of(media))

    async def find_place(self, name: str, *, tenant: str) -> str:
        """Returns the place of an upload, also of one whose place is remembered.

        Raises:
            NotFoundError: there is, and was, no such upload.
        """
        try:
            return place_of(await self.get(name))
        except NotFoundError:
            place = await kept_place(self._redis, self._place_key(name, tenant))
            if place is None:
                raise
            return place

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

    def _place_key(self, name: str, tenant: str) -> str:
        return media_place_key(self._library.queue, tenant, name.removeprefix(MEDIA_COLLECTION))


def place_of(media: video_pb2.Media) -> str:
    """Returns where an upload stands in a list: no two were made at the same time."""
    return str(media.create_time.ToMicroseconds())


def _media_in(answer: list[bytes]) -> video_pb2.Media:
    media_id, content_type, size_bytes, digest, create_micros, expire_micros = answer
    media = video_pb2.Media(
        name=f"{MEDIA_COLLECTION}{media_id.decode()}",
        content_type=content_type.decode(),
        size_bytes=int(size_bytes),
        digest=digest.decode(),
    )
    media.create_time.FromMicroseconds(int(create_micros))
    media.expire_time.FromMicroseconds(int(float(expire_micros)))
    return media


def _named(name: str) -> dict[str, Argument]:
    return {"media": name.removeprefix(MEDIA_COLLECTION)}
