"""Takes an image, a video or a sound track in chunks and stores it; removes it again."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.media_names import is_owned_media, new_media_name
from telecine.api.media_types import HEAD_BYTES, MEDIA_TYPES
from telecine.api.request_validation import shown
from telecine.api.upload_pace import UploadPace
from telecine.errors import InvalidFieldError, NotFoundError
from telecine.storage.keys import media_key
from telecine.v1 import video_pb2, video_service_pb2

MAX_CHUNK_BYTES = 1024 * 1024

_Requests = AsyncIterator[video_service_pb2.UploadMediaRequest]


async def upload_media(
    parts: GatewayParts, requests: _Requests, *, caller: Caller
) -> video_pb2.Media:
    """Stores an upload whole, or not at all.

    Raises:
        InvalidFieldError: the header is wrong, the bytes are more or fewer than it says, or
            not of the type it says.
        QuotaExceededError: its tenant would have more stored than it may.
        UploadIdleError: nothing came for too long.
    """
    requests = _without_idling(requests, idle_seconds=parts.upload_idle_seconds)
    header = await _read_header(requests)
    with upload_path() as path:
        await _receive(requests, path, header.size_bytes)
        await asyncio.to_thread(_check_content, path, header.content_type)
        return await store_media(parts, path, header.content_type, caller=caller)


@contextmanager
def upload_path() -> Iterator[Path]:
    """Yields where an upload is gathered before it is stored."""
    with tempfile.TemporaryDirectory(prefix="telecine-upload-") as folder:
        yield Path(folder) / "media"


async def store_media(
    parts: GatewayParts, path: Path, content_type: str, *, caller: Caller
) -> video_pb2.Media:
    """Stores a file that was checked as an upload of the caller's.

    Raises:
        QuotaExceededError: its tenant would have more stored than it may.
    """
    name = new_media_name(caller.tenant)
    allowance = await parts.quotas.allowance_of(caller)
    await parts.media.add(
        name,
        tenant=caller.tenant,
        size_bytes=await asyncio.to_thread(_size_of, path),
        max_stored_bytes=allowance.limits.max_stored_bytes,
    )
    try:
        stored = await parts.objects.put_file(media_key(name), path)
    except BaseException:
        await parts.media.remove(name)
        raise
    media = video_pb2.Media(
        name=name,
        content_type=content_type,
        size_bytes=stored.size_bytes,
        digest=stored.digest,
    )
    media.create_time.GetCurrentTime()
    kept = timedelta(seconds=parts.media.kept_seconds)
    media.expire_time.FromDatetime(media.create_time.ToDatetime() + kept)
    return media


async def delete_media(
    parts: GatewayParts, request: video_service_pb2.DeleteMediaRequest, *, caller: Caller
) -> None:
    """Removes an upload, and counts it no longer.

    Raises:
        NotFoundError: there is none of that name, or it is not the caller's.
    """
    if not is_owned_media(request.name, caller.tenant):
        raise NotFoundError(shown(request.name))
    await parts.objects.stat(media_key(request.name))
    await remove_media(parts, request.name)


async def remove_media(parts: GatewayParts, name: str) -> None:
    """Removes an upload that is known to be there: its bytes first, which count until then."""
    await parts.objects.delete_prefix(media_key(name))
    await parts.media.remove(name)


async def _without_idling(requests: _Requests, *, idle_seconds: float) -> _Requests:
    """Yields the messages; a client that is gone without a word must not hold its file for ever."""
    pace = UploadPace(idle_seconds)
    while True:
        try:
            async with pace.wait():
                request = await anext(requests, None)
        except TimeoutError:
            raise pace.error() from None
        if request is None:
            return
        pace.count(len(request.data))
        yield request


async def _read_header(requests: _Requests) -> video_service_pb2.MediaHeader:
    """Returns the first message's header, checked."""
    first = await anext(requests, video_service_pb2.UploadMediaRequest())
    if not first.HasField("header"):
        raise InvalidFieldError("header", "must be the first message")
    header = first.header
    media_type = MEDIA_TYPES.get(header.content_type)
    if media_type is None:
        raise InvalidFieldError(
            "header.content_type",
            f"{shown(header.content_type)} is not taken; {', '.join(MEDIA_TYPES)} are",
        )
    if not 1 <= header.size_bytes <= media_type.max_bytes:
        raise InvalidFieldError(
            "header.size_bytes",
            f"{header.size_bytes} is not from 1 to {media_type.max_bytes}",
        )
    return header


async def _receive(requests: _Requests, path: Path, size_bytes: int) -> None:
    """Writes the chunks to `path`; refuses as soon as there is a byte too many."""
    received = 0
    async for request in requests:
        if not request.HasField("data"):
            raise InvalidFieldError("data", "must be in every message after the first")
        if len(request.data) > MAX_CHUNK_BYTES:
            raise InvalidFieldError("data", f"has more than {MAX_CHUNK_BYTES} bytes")
        received += len(request.data)
        if received > size_bytes:
            raise InvalidFieldError("header.size_bytes", f"is {size_bytes}, but more bytes came")
        await asyncio.to_thread(_append, path, request.data)
    if received < size_bytes:
        raise InvalidFieldError("header.size_bytes", f"is {size_bytes}, but {received} bytes came")


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _check_content(path: Path, content_type: str) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not MEDIA_TYPES[content_type].matches(head):
        raise InvalidFieldError("data", f"is not a file of type {content_type}")
