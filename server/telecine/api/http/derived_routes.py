"""Videos made from other videos: remixes, edits, extensions."""

from typing import Annotated, NoReturn

from fastapi import APIRouter, Path

from telecine.api.http import text_forms
from telecine.api.http.api_document import body_content
from telecine.api.http.creation import Creation, Source, create, creation_of
from telecine.api.http.dependencies import Call, CallOf, IdempotencyKey, VideoId
from telecine.api.http.derivation import (
    merged,
    options_of,
    place_edited,
    place_extended,
    source_of,
)
from telecine.api.http.request_body import read_body
from telecine.api.http.video_request import (
    EditBody,
    ExtendBody,
    RemixBody,
    duration_of,
    spec_of,
)
from telecine.api.http.video_routes import Made, answered_all
from telecine.api.video_inputs import require_succeeded
from telecine.errors import InvalidFieldError, NotImplementedYetError

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_CharacterId = Annotated[str, Path(pattern=text_forms.ID)]


@router.post("/{video_id}/remix", status_code=202, openapi_extra=body_content("RemixBody"))
async def remix_video(
    video_id: VideoId, call: CallOf, idempotency_key: IdempotencyKey = None
) -> Made:
    """Make a video anew from a finished one, as another prompt says."""
    async with read_body(call, RemixBody) as body:
        known = await call.parts.jobs.get(f"videos/{video_id}", tenant=call.caller.tenant)
        spec = merged(options_of(known), spec_of(body, prompt=body.prompt))
        if body.strength is not None:
            spec.edit.strength = body.strength
        require_succeeded(known, field="video_id")
        source = Source(known.name, "video", "video_id", place_edited)
        return await _made(call, creation_of(spec, body, idempotency_key, source))


@router.post("/edits", status_code=202, openapi_extra=body_content("EditBody"))
async def edit_video(call: CallOf, idempotency_key: IdempotencyKey = None) -> Made:
    """Change a finished video, or a file, as a prompt says."""
    async with read_body(call, EditBody) as body:
        given, spec = await source_of(call, body.video)
        spec = merged(spec, spec_of(body, prompt=body.prompt, seconds=body.seconds))
        if body.strength is not None:
            spec.edit.strength = body.strength
        source = Source(given, "video", "video", place_edited)
        return await _made(call, creation_of(spec, body, idempotency_key, source))


@router.post("/extensions", status_code=202, openapi_extra=body_content("ExtendBody"))
async def extend_video(call: CallOf, idempotency_key: IdempotencyKey = None) -> Made:
    """Go on with a finished video, or a file; `seconds` of the answer is the whole length."""
    async with read_body(call, ExtendBody) as body:
        given, spec = await source_of(call, body.video)
        spec.ClearField("guidance_scale")  # models go on with another one than they begin with
        spec = merged(spec, spec_of(body, prompt=body.prompt, seconds=body.total_seconds))
        spec.extend.duration.CopyFrom(duration_of(body.seconds))
        source = Source(given, "video", "video", place_extended)
        try:
            return await _made(call, creation_of(spec, body, idempotency_key, source))
        except InvalidFieldError as error:
            if error.field == "spec.duration":  # `seconds` is here what is added
                raise InvalidFieldError("total_seconds", error.description) from error
            raise


@router.post("/characters", status_code=501, response_model=None)
async def create_character(call: CallOf) -> NoReturn:  # noqa: ARG001
    """Refuse: no model that is served keeps a character for other videos."""
    raise NotImplementedYetError("characters", "keeping a character for other videos")


@router.get("/characters/{character_id}", status_code=501, response_model=None)
async def retrieve_character(character_id: _CharacterId, call: CallOf) -> NoReturn:  # noqa: ARG001
    """Refuse, as for making one."""
    raise NotImplementedYetError("characters", "keeping a character for other videos")


async def _made(call: Call, creation: Creation) -> Made:
    videos = await create(call.parts, creation, caller=call.caller)
    return answered_all(videos, creation, call)
