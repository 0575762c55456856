"""Takes an image, a video or a sound track in chunks and stores it; removes it again."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.media_names import check_media_name, is_owned_media, new_media_name
from telecine.api.media_types import HEAD_BYTES, MEDIA_TYPES
from telecine.api.name_pages import decode_page_token, encode_page_token
from telecine.api.request_validation import check_page_size, shown
from telecine.api.upload_pace import UploadPace
from telecine.errors import InvalidFieldError, NotFoundError
from telecine.jobs.account_answers import stored_too_much
from telecine.storage.keys import media_key
from telecine.v1 import video_pb2, video_service_pb2

MAX_CHUNK_BYTES = 1024 * 1024
_PLACE = re.compile("[0-9]{1,16}")  # when an upload was made, in microseconds

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
    await check_room(parts, header.size_bytes, caller=caller)
    with upload_path() as path:
        await _receive(requests, path, header.size_bytes)
        await asyncio.to_thread(_check_content, path, header.content_type)
        return await store_media(parts, path, header.content_type, caller=caller)


@contextmanager
def upload_path() -> Iterator[Path]:
    """Yields where an upload is gathered before it is stored."""
    with tempfile.TemporaryDirectory(prefix="telecine-upload-") as folder:
        yield Path(folder) / "media"


async def check_room(parts: GatewayParts, size_bytes: int, *, caller: Caller) -> None:
    """Refuses a file that its tenant has no room for, before its bytes have come.

    Uploads side by side may all pass here; `store_media` takes no more than there is room for.

    Raises:
        QuotaExceededError: its tenant would have more stored than it may.
    """
    limit = (await parts.quotas.allowance_of(caller)).limits.max_stored_bytes
    if limit is None:
        return
    used = (await parts.quotas.accounts.usage(caller.tenant)).stored_bytes
    if used + size_bytes > limit:
        raise stored_too_much(limit, used)


async def store_media(
    parts: GatewayParts, path: Path, content_type: str, *, caller: Caller
) -> video_pb2.Media:
    """Stores a file that was checked as an upload of the caller's.

    Raises:
        QuotaExceededError: its tenant would have more stored than it may.
    """
    media = video_pb2.Media(
        name=new_media_name(caller.tenant),
        content_type=content_type,
        size_bytes=await asyncio.to_thread(_size_of, path),
    )
    allowance = await parts.quotas.allowance_of(caller)
    await parts.media.add(
        media, tenant=caller.tenant, max_stored_bytes=allowance.limits.max_stored_bytes
    )
    try:
        stored = await parts.objects.put_file(media_key(media.name), path)
    except BaseException:
        await parts.media.remove(media.name)
        raise
    media.digest = stored.digest
    await parts.media.finish(media)
    return media


async def get_media(
    parts: GatewayParts, request: video_service_pb2.GetMediaRequest, *, caller: Caller
) -> video_pb2.Media:
    """Returns one upload.

    Raises:
        InvalidFieldError: that is no name of an upload.
        NotFoundError: there is none of that name, or it is not the caller's.
    """
    _require_owned(request.name, caller)
    return await parts.media.get(request.name)


async def list_media(
    parts: GatewayParts, request: video_service_pb2.ListMediaRequest, *, caller: Caller
) -> video_service_pb2.ListMediaResponse:
    """Returns a page of the caller's uploads, newest first."""
    page = await parts.media.list_media(
        caller.tenant,
        page_size=check_page_size(request.page_size),
        place=decode_page_token(request.page_token, _check_place),
    )
    return video_service_pb2.ListMediaResponse(
        media=page.media, next_page_token=encode_page_token(page.next_place)
    )


async def delete_media(
    parts: GatewayParts, request: video_service_pb2.DeleteMediaRequest, *, caller: Caller
) -> None:
    """Removes an upload, and counts it no longer.

    Raises:
        InvalidFieldError: that is no name of an upload.
        NotFoundError: there is none of that name, or it is not the caller's.
    """
    _require_owned(request.name, caller)
    try:
        media = await parts.media.get(request.name)  # its bytes may be gone: Redis was away then
    except NotFoundError:
        # One of an earlier version has no record, and no place.
        await parts.objects.stat(media_key(request.name))
    else:
        await parts.media.keep_place(media, tenant=caller.tenant)
    await remove_media(parts, request.name)


async def remove_media(parts: GatewayParts, name: str) -> None:
    """Removes an upload that is known to be there: its bytes first, which count until then."""
    await parts.objects.delete_prefix(media_key(name))
    await parts.media.remove(name)


async def page_token_after(parts: GatewayParts, name: str, *, caller: Caller) -> str:
    """Returns the token of the page that begins behind an upload, or where it was.

    Raises:
        InvalidFieldError: that is no name of an upload.
        NotFoundError: there is, and was, none of that name, or it is not the caller's.
    """
    _require_owned(name, caller)
    return encode_page_token(await parts.media.find_place(name, tenant=caller.tenant))


def _require_owned(name: str, caller: Caller) -> None:
    check_media_name(name, field="name")
    if not is_owned_media(name, caller.tenant):
        raise NotFoundError(name)


def _check_place(place: str) -> None:
    if not _PLACE.fullmatch(place):
        raise InvalidFieldError("page_token", "was not given out by this service")


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
