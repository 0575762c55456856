"""Uploads: pictures, videos and sound tracks that videos can be made from."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi import Path as PathParameter
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from telecine.api.http.dependencies import CallOf
from telecine.api.http.file_part import file_chunks
from telecine.api.media_types import HEAD_BYTES, MEDIA_TYPES, type_of
from telecine.api.media_uploads import delete_media as delete_stored
from telecine.api.media_uploads import store_media, upload_path
from telecine.api.request_validation import RESOURCE_ID
from telecine.errors import InvalidFieldError
from telecine.v1 import video_service_pb2

router = APIRouter(prefix="/v1/media", tags=["media"])

_FIELD = "file"
_FORM = "multipart/form-data"
_MediaId = Annotated[str, PathParameter(pattern=f"^{RESOURCE_ID}$", description="The upload's id.")]
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


class DeletedMedia(BaseModel):
    """An upload that is gone."""

    id: str
    object: Literal["media.deleted"] = "media.deleted"
    deleted: bool = True


@router.post("", status_code=201, openapi_extra=_BODY)
async def upload_media(call: CallOf) -> MediaObject:
    """Store a picture, a video or a sound track; what it is shows in how it begins."""
    with upload_path() as path:
        content_type = await _receive(call.request, path)
        media = await store_media(call.parts, path, content_type, caller=call.caller)
    return MediaObject(
        id=media.name.removeprefix("media/"),
        content_type=media.content_type,
        size_bytes=media.size_bytes,
        digest=media.digest,
        created_at=media.create_time.seconds,
        expires_at=media.expire_time.seconds,
    )


@router.delete("/{media_id}")
async def delete_media(media_id: _MediaId, call: CallOf) -> DeletedMedia:
    """Remove an upload; a video that waits to be made from it will fail."""
    request = video_service_pb2.DeleteMediaRequest(name=f"media/{media_id}")
    await delete_stored(call.parts, request, caller=call.caller)
    return DeletedMedia(id=media_id)


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
