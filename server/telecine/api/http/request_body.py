"""Reads a request's body, JSON or a form, into one kind of object."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from telecine.api.http.bracket_fields import nest_fields
from telecine.api.http.dependencies import Call
from telecine.api.http.error_answers import field_error
from telecine.errors import InvalidFieldError

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_MAX_FIELDS = 256
_MAX_FILES = 2  # a picture or a video, and a sound track
_SMALL_BYTES = 64 * 1024
_MAX_FIELD_BYTES = 32 * 1024 * 1024  # a picture as a data: URL

BodyT = TypeVar("BodyT", bound=BaseModel)


@asynccontextmanager
async def read_body(call: Call, kind: type[BodyT]) -> AsyncIterator[BodyT]:
    """Yields the body, checked; numbers may be text in a form, not in JSON.

    A form's file lives as long as the block. A large body counts as an upload as long.

    Raises:
        InvalidFieldError: a field is wrong; it names which.
        HTTPException: the body is of no type that is taken.
        QuotaExceededError: as many of its tenant's uploads are under way as may be.
    """
    with _counted(call):
        async with _open_body(call.request, kind) as body:
            yield body


def _counted(call: Call) -> AbstractContextManager[None]:
    size = call.request.headers.get("content-length")  # none where it comes in chunks
    is_small = size is not None and int(size) <= _SMALL_BYTES
    return nullcontext() if is_small else call.parts.open_uploads.hold(call.caller)


@asynccontextmanager
async def _open_body(request: Request, kind: type[BodyT]) -> AsyncIterator[BodyT]:
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "content-encoding: bodies are taken as they are, not compressed")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        yield _validate(kind, _parse_json(await request.body()), is_strict=True)
    elif content_type in _FORMS:
        async with _open_form(request) as form:
            yield _validate(kind, nest_fields(form.multi_items()), is_strict=False)
    else:
        taken = ", ".join(("application/json", *_FORMS))
        raise HTTPException(415, f"content-type: is not one of {taken}")


def _validate(kind: type[BodyT], fields: dict[str, Any], *, is_strict: bool) -> BodyT:
    try:
        return kind.model_validate(fields, strict=is_strict)
    except ValidationError as error:
        raise field_error(error, fields) from None


@asynccontextmanager
async def _open_form(request: Request) -> AsyncIterator[FormData]:
    try:
        form = await request.form(
            max_files=_MAX_FILES, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
        )
    except HTTPException as error:
        raise InvalidFieldError("body", str(error.detail)) from None
    try:
        yield form
    finally:
        await form.close()


def _parse_json(body: bytes) -> dict[str, Any]:
    # Unlike json's, this parser refuses lone surrogates, which no message can hold.
    try:
        fields = from_json(body)
    except ValueError as error:
        raise InvalidFieldError("body", f"is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidFieldError("body", "is not a JSON object")
    return fields
