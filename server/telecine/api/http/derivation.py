"""What a video that is made from another one takes over from it."""

from starlette.datastructures import UploadFile

from telecine.api.http.dependencies import Call
from telecine.api.http.references import Given
from telecine.api.http.video_request import SourceVideo, upload_name
from telecine.errors import InvalidFieldError, NotFoundError
from telecine.v1 import video_pb2


async def source_of(
    call: Call, video: SourceVideo | UploadFile
) -> tuple[Given, video_pb2.VideoSpec]:
    """Returns a form's file, or the name of an upload or a video, and the options of the latter.

    Raises:
        InvalidFieldError: there is no such video, or not one thing is named.
    """
    if isinstance(video, UploadFile):
        return video, video_pb2.VideoSpec()
    if (video.id is None) == (video.file_id is None):
        raise InvalidFieldError("video", "needs either id or file_id")
    if video.file_id is not None:
        return upload_name(video.file_id), video_pb2.VideoSpec()
    try:
        known = await call.parts.jobs.get(f"videos/{video.id}", tenant=call.caller.tenant)
    except NotFoundError:
        raise InvalidFieldError("video.id", "is not the id of a video") from None
    return known.name, options_of(known)


def options_of(video: video_pb2.Video) -> video_pb2.VideoSpec:
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


def merged(options: video_pb2.VideoSpec, sent: video_pb2.VideoSpec) -> video_pb2.VideoSpec:
    """Returns what was sent, and the source's options where nothing was."""
    if sent.loras or (sent.model and sent.model != options.model):
        options.ClearField("loras")  # another model has others
    options.MergeFrom(sent)
    return options


def place_image(spec: video_pb2.VideoSpec, name: str) -> None:
    """Has a video begin with a picture."""
    spec.input_image = name


def place_edited(spec: video_pb2.VideoSpec, name: str) -> None:
    """Has a video be another one, changed."""
    spec.edit.source = name


def place_extended(spec: video_pb2.VideoSpec, name: str) -> None:
    """Has a video go on with another one."""
    spec.extend.source = name
