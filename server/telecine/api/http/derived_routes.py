"""Videos made from other videos: remixes, edits, extensions."""

from typing import Annotated, NoReturn

from fastapi import APIRouter, Path
from starlette.datastructures import UploadFile

from telecine.api.http.api_document import body_content
from telecine.api.http.creation import Source, create, request_for, track_of
from telecine.api.http.dependencies import Call, CallOf, IdempotencyKey, VideoId
from telecine.api.http.references import Given
from telecine.api.http.request_body import read_body
from telecine.api.http.video_object import VideoObject
from telecine.api.http.video_request import (
    EditBody,
    ExtendBody,
    RemixBody,
    SourceVideo,
    duration_of,
    spec_of,
)
from telecine.api.http.video_routes import answered
from telecine.api.request_validation import RESOURCE_ID
from telecine.errors import InvalidFieldError, NotFoundError, NotImplementedYetError
from telecine.v1 import video_pb2, video_service_pb2

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_CharacterId = Annotated[str, Path(pattern=f"^{RESOURCE_ID}$")]


@router.post("/{video_id}/remix", status_code=202, openapi_extra=body_content("RemixBody"))
async def remix_video(
    video_id: VideoId, call: CallOf, idempotency_key: IdempotencyKey = None
) -> VideoObject:
    """Make a video anew from a finished one, as another prompt says."""
    async with read_body(call.request, RemixBody) as body:
        known = await call.parts.jobs.get(f"videos/{video_id}", tenant=call.caller.tenant)
        spec = _merged(_options_of(known), spec_of(body, prompt=body.prompt))
        if body.strength is not None:
            spec.edit.strength = body.strength
        source = Source(known.name, "video", "video_id", _place_edited)
        return await _made(call, request_for(spec, body, idempotency_key), source, *track_of(body))


@router.post("/edits", status_code=202, openapi_extra=body_content("EditBody"))
async def edit_video(call: CallOf, idempotency_key: IdempotencyKey = None) -> VideoObject:
    """Change a finished video, or a file, as a prompt says."""
    async with read_body(call.request, EditBody) as body:
        given, spec = await _source_of(call, body.video)
        spec = _merged(spec, spec_of(body, prompt=body.prompt, seconds=body.seconds))
        if body.strength is not None:
            spec.edit.strength = body.strength
        source = Source(given, "video", "video", _place_edited)
        return await _made(call, request_for(spec, body, idempotency_key), source, *track_of(body))


@router.post("/extensions", status_code=202, openapi_extra=body_content("ExtendBody"))
async def extend_video(call: CallOf, idempotency_key: IdempotencyKey = None) -> VideoObject:
    """Go on with a finished video, or a file; `seconds` of the answer is the whole length."""
    async with read_body(call.request, ExtendBody) as body:
        given, spec = await _source_of(call, body.video)
        spec = _merged(spec, spec_of(body, prompt=body.prompt, seconds=body.total_seconds))
        spec.extend.duration.CopyFrom(duration_of(body.seconds))
        source = Source(given, "video", "video", _place_extended)
        try:
            return await _made(
                call, request_for(spec, body, idempotency_key), source, *track_of(body)
            )
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


async def _made(
    call: Call, sent: video_service_pb2.CreateVideoRequest, *sources: Source
) -> VideoObject:
    video = await create(call.parts, sent, *sources, caller=call.caller)
    return answered(video, call)


async def _source_of(
    call: Call, video: SourceVideo | UploadFile
) -> tuple[Given, video_pb2.VideoSpec]:
    """Returns a form's file, or a video's name and its options.

    Raises:
        InvalidFieldError: there is no such video.
    """
    if isinstance(video, UploadFile):
        return video, video_pb2.VideoSpec()
    try:
        known = await call.parts.jobs.get(f"videos/{video.id}", tenant=call.caller.tenant)
    except NotFoundError:
        raise InvalidFieldError("video.id", "is not the id of a video") from None
    return known.name, _options_of(known)


def _options_of(video: video_pb2.Video) -> video_pb2.VideoSpec:
    """Returns what a video made from another one takes over where its request says nothing."""
    spec = video.spec
    return video_pb2.VideoSpec(
        model=spec.model,
        negative_prompt=spec.negative_prompt,
        num_inference_steps=spec.num_inference_steps,
        guidance_scale=spec.guidance_scale,
        size=spec.size,
        sampler=spec.sampler,
        upscale=spec.upscale,
        loras=spec.loras,
    )


def _merged(options: video_pb2.VideoSpec, sent: video_pb2.VideoSpec) -> video_pb2.VideoSpec:
    """Returns what was sent, and the source's options where nothing was."""
    if sent.loras or (sent.model and sent.model != options.model):
        options.ClearField("loras")  # another model has others
    options.MergeFrom(sent)
    return options


def _place_edited(spec: video_pb2.VideoSpec, name: str) -> None:
    spec.edit.source = name


def _place_extended(spec: video_pb2.VideoSpec, name: str) -> None:
    spec.extend.source = name
