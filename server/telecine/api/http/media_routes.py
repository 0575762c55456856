"""Uploads: pictures, videos and sound tracks that videos can be made from."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from telecine.api import media_uploads as uploads
from telecine.api.http import text_forms
from telecine.api.http.dependencies import Call, CallOf
from telecine.api.http.file_part import file_chunks
from telecine.api.http.pages import page_fields
from telecine.api.media_types import HEAD_BYTES, MEDIA_TYPES, type_of
from telecine.errors import InvalidFieldError, NotFoundError
from telecine.v1 import video_pb2, video_service_pb2

router = APIRouter(prefix="/v1/media", tags=["media"])

_FIELD = "file"
_FORM = "multipart/form-data"
_MAX_FRAME_BYTES = 4096  # of a form, beside its file
_MediaId = Annotated[str, PathParameter(pattern=text_forms.ID, description="The upload's id.")]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _FORM: {
                "schema": {
                    "type": "object",
                    "properties": {_FIELD: {"type": "string", "format": "binary"}},
                    "required": [_FIELD],
                    "additionalProperties": False,
                }
            }
        },
    }
}


class MediaObject(BaseModel):
    """An upload; `id` is what `file_id` takes."""

    id: str
    object: Literal["media"] = "media"
    content_type: str
    size_bytes: int
    digest: str
    created_at: int
    expires_at: int


class MediaList(BaseModel):
    """A page of uploads; `after=last_id` asks for the next one."""

    object: Literal["list"] = "list"
    data: list[MediaObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedMedia(BaseModel):
    """An upload that is gone."""

    id: str
    object: Literal["media.deleted"] = "media.deleted"
    deleted: bool = True


@router.post("", status_code=201, openapi_extra=_BODY)
async def upload_media(call: CallOf) -> MediaObject:
    """Store a picture, a video or a sound track; what it is shows in how it begins."""
    # A form is longer than its file, by what stands around it.
    form_bytes = int(call.request.headers.get("content-length", "0"))
    least_bytes = max(0, form_bytes - _MAX_FRAME_BYTES)
    await uploads.check_room(call.parts, least_bytes, caller=call.caller)
    with call.parts.open_uploads.hold(call.caller), uploads.upload_path() as path:
        content_type = await _receive(call.request, path)
        media = await uploads.store_media(call.parts, path, content_type, caller=call.caller)
    return _media_object(media)


@router.get("")
async def list_media(
    call: CallOf,
    *,
    after: Annotated[str | None, Query(description="The last id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Uploads a page.")] = 20,
) -> MediaList:
    """List the caller's uploads, newest first."""
    query = video_service_pb2.ListMediaRequest(page_size=limit)
    if after is not None:
        query.page_token = await _token_after(after, call)
    page = await uploads.list_media(call.parts, query, caller=call.caller)
    shown = [_media_object(media) for media in page.media]
    return MediaList(**page_fields(shown, has_more=bool(page.next_page_token)))


@router.get("/{media_id}")
async def retrieve_media(media_id: _MediaId, call: CallOf) -> MediaObject:
    """Return an upload."""
    query = video_service_pb2.GetMediaRequest(name=f"media/{media_id}")
    return _media_object(await uploads.get_media(call.parts, query, caller=call.caller))


@router.delete("/{media_id}")
async def delete_media(media_id: _MediaId, call: CallOf) -> DeletedMedia:
    """Remove an upload; a video that waits to be made from it will fail."""
    request = video_service_pb2.DeleteMediaRequest(name=f"media/{media_id}")
    await uploads.delete_media(call.parts, request, caller=call.caller)
    return DeletedMedia(id=media_id)


async def _token_after(media_id: str, call: Call) -> str:
    """Returns the token of the page behind an upload, or where it was."""
    try:
        return await uploads.page_token_after(call.parts, f"media/{media_id}", caller=call.caller)
    except (InvalidFieldError, NotFoundError):
        raise InvalidFieldError("after", "is not the id of an upload") from None


def _media_object(media: video_pb2.Media) -> MediaObject:
    return MediaObject(
        id=media.name.removeprefix("media/"),
        content_type=media.content_type,
        size_bytes=media.size_bytes,
        digest=media.digest,
        created_at=media.create_time.seconds,
        expires_at=media.expire_time.seconds,
    )


async def _receive(request: Request, path: Path) -> str:
    """Writes the form's file to `path`, and returns its type; refuses at the byte too many."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _FORM or "content-encoding" in request.headers:
        raise HTTPException(415, f"content-type: is not {_FORM}, or the body is compressed")
    head, kind, num_bytes = b"", "", 0
    with path.open("wb") as file:
        async for chunk in file_chunks(request, field=_FIELD):
            if not kind:
                head += chunk[:HEAD_BYTES]
                kind = _type_of(head) if len(head) >= HEAD_BYTES else ""
            num_bytes += len(chunk)
            if kind and num_bytes > MEDIA_TYPES[kind].max_bytes:
                limit = MEDIA_TYPES[kind].max_bytes
                raise InvalidFieldError(_FIELD, f"has more than {limit} bytes, for {kind}")
            await asyncio.to_thread(file.write, chunk)
    return kind or _type_of(head)


def _type_of(head: bytes) -> str:
    content_type = type_of(head)
    if not content_type:
        raise InvalidFieldError(_FIELD, f"is of none of the types {', '.join(MEDIA_TYPES)}")
    return content_type
