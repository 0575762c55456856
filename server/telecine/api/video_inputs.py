"""What a video is made from beside its prompt: an image, another video, a sound track."""

import re
from contextlib import aclosing
from typing import Literal, NamedTuple

from google.protobuf.duration_pb2 import Duration

from telecine.api.caller import Caller
from telecine.api.frame_counts import at_most, duration_of, frames_of, nearest_multiple
from telecine.api.gateway_parts import GatewayParts
from telecine.api.media_names import check_media_name, check_owned_media
from telecine.api.media_types import HEAD_BYTES, MediaKind, kind_of
from telecine.api.request_validation import RESOURCE_ID, shown
from telecine.api.stored_files import state_word
from telecine.errors import InvalidFieldError, NotFoundError, VideoStateError
from telecine.jobs.media_store import MEDIA_COLLECTION
from telecine.storage.keys import media_key
from telecine.v1 import model_pb2, video_pb2

DEFAULT_STRENGTH = 0.7
MAX_FRAMES = 20_000  # of a video that is gone on with, the source's included

_NANOS = 1_000_000_000
_SOURCE_NAME = re.compile(rf"(media|videos)/{RESOURCE_ID}")
_FEATURES = {
    "input_image": model_pb2.Model.FEATURE_IMAGE_TO_VIDEO,
    "edit": model_pb2.Model.FEATURE_EDIT,
    "extend": model_pb2.Model.FEATURE_EXTEND,
}


class FramePlan(NamedTuple):
    """How many frames a video has, and how many of them the model makes in one go."""

    num_frames: int
    clip_frames: int
    """Frames of the clip that the model makes: context and new ones where a video is extended."""


def check_inputs(sent: video_pb2.VideoSpec, model: model_pb2.Model) -> None:
    """Refuses inputs that exclude each other, that the model cannot use or that it lacks.

    Raises:
        InvalidFieldError: one of them is wrong.
    """
    given = [field for field in _FEATURES if _is_given(sent, field)]
    if len(given) > 1:
        raise InvalidFieldError(f"spec.{given[1]}", f"cannot be used together with {given[0]}")
    if not given:
        if model.limits.is_image_required:
            raise InvalidFieldError("spec.input_image", f"{model.name} needs a first frame")
        return
    (field,) = given
    if _FEATURES[field] not in model.features:
        feature = model_pb2.Model.Feature.Name(_FEATURES[field])
        raise InvalidFieldError(f"spec.{field}", f"{model.name} has no {feature}")
    if field == "edit" and not 0 < strength_of(sent) <= 1:  # NaN is neither
        raise InvalidFieldError(
            "spec.edit.strength", f"{sent.edit.strength} is not more than 0 and at most 1"
        )
    if field == "extend":
        _check_more_than_zero(sent.extend.duration, "spec.extend.duration")


async def find_source(
    parts: GatewayParts, sent: video_pb2.VideoSpec, *, caller: Caller
) -> video_pb2.Video | None:
    """Finds what a checked spec is made from; returns it where it is a video of this service.

    Raises:
        InvalidFieldError: there is no such upload or video, or the upload is another thing.
        VideoStateError: the source has not SUCCEEDED.
    """
    if sent.input_audio:
        await _check_media(parts, sent.input_audio, "audio", caller=caller)
    if sent.input_image:
        await _check_media(parts, sent.input_image, "image", caller=caller)
        return None
    source, field = _source_of(sent)
    if not field:
        return None
    if not _SOURCE_NAME.fullmatch(source):
        raise InvalidFieldError(
            field, f"{shown(source)} is not of the form videos/{{video}} or media/{{media}}"
        )
    if source.startswith("media/"):
        check_owned_media(source, caller.tenant, field=field)
        await _check_upload(parts, source, "video", field=field)
        return None
    try:
        video = await parts.jobs.get(source, tenant=caller.tenant)
    except NotFoundError as error:
        raise InvalidFieldError(field, error.message) from error
    require_succeeded(video, field=field)
    return video


async def use_uploads(parts: GatewayParts, spec: video_pb2.VideoSpec) -> None:
    """Puts off the end of the uploads that a video is about to be made from.

    Raises:
        InvalidFieldError: the time of one is over.
    """
    named = (
        (spec.input_audio, "spec.input_audio"),
        (spec.input_image, "spec.input_image"),
        _source_of(spec),
    )
    for name, field in named:
        if name.startswith(MEDIA_COLLECTION) and not await parts.media.use(name):
            raise InvalidFieldError(field, f"{name} does not exist any more")


def require_succeeded(source: video_pb2.Video, *, field: str) -> None:
    """Raises VideoStateError unless another video can be made of this one; `field` names it."""
    if source.state != video_pb2.Video.STATE_SUCCEEDED:
        state = state_word(source)
        raise VideoStateError(f"{source.name} is {state}, not SUCCEEDED", state=state, field=field)


def defaults_of(
    sent: video_pb2.VideoSpec, model: model_pb2.Model, source: video_pb2.Video | None
) -> video_pb2.VideoSpec:
    """Returns the model's defaults for such a video, with a source's frame rate and length."""
    defaults = video_pb2.VideoSpec()
    defaults.CopyFrom(model.defaults)
    # Without guidance a negative prompt would do nothing.
    is_going_on = sent.HasField("extend") and not sent.negative_prompt
    if is_going_on and model.extend_guidance_scale:
        defaults.guidance_scale = model.extend_guidance_scale
    if source is None:
        return defaults
    defaults.fps = source.spec.fps
    if sent.HasField("edit"):
        defaults.duration.CopyFrom(_length_of(source, model.limits.frames_multiple))
    return defaults


def _length_of(source: video_pb2.Video, multiple: int) -> Duration:
    """Returns the length as it was asked for, where it is that of all frames that can be made."""
    num_frames = at_most(source.num_frames, multiple)
    asked, fps = source.spec.duration, source.spec.fps
    if frames_of(asked, fps, multiple=multiple) == num_frames:
        return asked
    return duration_of(num_frames, fps)


def copy_inputs(sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec) -> None:
    """Takes over what was sent, with the default strength where none was."""
    spec.input_image, spec.input_audio = sent.input_image, sent.input_audio
    if sent.HasField("edit"):
        spec.edit.source, spec.edit.strength = sent.edit.source, strength_of(sent)
    if sent.HasField("extend"):
        spec.extend.source = sent.extend.source
        spec.extend.duration.CopyFrom(sent.extend.duration)


def check_length(
    spec: video_pb2.VideoSpec, num_frames: int, source: video_pb2.Video | None
) -> None:
    """Refuses a video that is longer than its source, or not longer than its first frame.

    Raises:
        InvalidFieldError: it is.
    """
    if spec.input_image and num_frames == 1:
        raise InvalidFieldError("spec.duration", "is of one frame only, which input_image is")
    if spec.HasField("edit") and source is not None:
        has_frames = num_frames_at(source, spec.fps)
        if num_frames > has_frames:
            raise InvalidFieldError(
                "spec.duration",
                f"{num_frames} frames at {spec.fps} fps are more than the {has_frames} of "
                f"{source.name}",
            )


def plan_extension(
    sent: video_pb2.VideoSpec,
    spec: video_pb2.VideoSpec,
    model: model_pb2.Model,
    source: video_pb2.Video | None,
) -> FramePlan:
    """Completes `spec.extend` and `spec.duration`, and returns the video's and the clip's frames.

    Raises:
        InvalidFieldError: the lengths do not fit each other or the model.
    """
    limits, extend = model.limits, spec.extend
    extend.num_frames = nearest_multiple(extend.duration, spec.fps, limits.frames_multiple)
    if extend.num_frames > limits.max_num_frames:
        raise InvalidFieldError(
            "spec.extend.duration",
            f"{extend.num_frames} frames are more than the {limits.max_num_frames} that "
            f"{model.name} makes",
        )
    num_frames = _num_extended_frames(sent, spec, source)
    num_kept = num_frames - extend.num_frames
    if num_kept < 1:
        raise InvalidFieldError(
            "spec.duration",
            f"{num_frames} frames must be more than the {extend.num_frames} that are added",
        )
    if num_frames > MAX_FRAMES:
        raise InvalidFieldError(
            "spec.duration", f"{num_frames} frames in all are more than {MAX_FRAMES}"
        )
    if source is not None and num_kept > num_frames_at(source, spec.fps):
        raise InvalidFieldError(
            "spec.duration",
            f"{num_kept} frames and {extend.num_frames} added ones are more than {source.name} has",
        )
    clip_frames = _plan_context(extend, num_kept, limits)
    if clip_frames > limits.max_num_frames:
        raise InvalidFieldError(
            "spec.extend.duration",
            f"{extend.num_frames} frames after {extend.num_context_frames} of the source; "
            f"{model.name} makes {limits.max_num_frames} at most",
        )
    spec.duration.CopyFrom(duration_of(num_frames, spec.fps))
    return FramePlan(num_frames, clip_frames)


def _num_extended_frames(
    sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec, source: video_pb2.Video | None
) -> int:
    """Returns how many frames the result has: as asked for, else the source's and the new ones."""
    if sent.HasField("duration"):
        _check_more_than_zero(sent.duration, "spec.duration")
        return nearest_multiple(sent.duration, spec.fps, 1)
    if source is None:
        raise InvalidFieldError(
            "spec.duration", "must say how long the result is: the source's own length is unknown"
        )
    return num_frames_at(source, spec.fps) + spec.extend.num_frames


def _plan_context(extend: video_pb2.Extend, num_kept: int, limits: model_pb2.ModelLimits) -> int:
    """Says which of the kept frames the model begins with; returns how many it makes in all."""
    multiple = limits.frames_multiple
    # All but one of a latent frame, so that the first new frame lies in the midst of one.
    for num_overlap in (multiple - 1, 0):
        num_context = at_most(min(num_kept - num_overlap, limits.max_context_frames), multiple)
        num_latent = num_context + extend.num_frames + (multiple if num_overlap else 0)
        # One frame alone says nothing of the motion, which the overlap goes on with.
        if num_context > 1 and num_latent <= limits.max_num_frames:
            break
    extend.num_context_frames, extend.num_overlap_frames = num_context, num_overlap
    return num_latent


def num_given_latent_frames(spec: video_pb2.VideoSpec, limits: model_pb2.ModelLimits) -> int:
    """Returns how many latent frames of the clip are given rather than made."""
    if spec.HasField("extend"):
        return (spec.extend.num_context_frames - 1) // limits.frames_multiple + 1
    return 1 if spec.input_image else 0


def strength_of(sent: video_pb2.VideoSpec) -> float:
    """Returns the strength of an edit, the default one where none was sent."""
    return sent.edit.strength if sent.edit.HasField("strength") else DEFAULT_STRENGTH


def num_frames_at(source: video_pb2.Video, fps: int) -> int:
    """Returns how many frames a video has at another frame rate, whole ones, at least 1."""
    return max(1, source.num_frames * fps // source.spec.fps)


def _is_given(sent: video_pb2.VideoSpec, field: str) -> bool:
    return bool(sent.input_image) if field == "input_image" else sent.HasField(field)  # type: ignore[arg-type]


def _source_of(sent: video_pb2.VideoSpec) -> tuple[str, str]:
    """Returns the source and the field that names it; nothing twice where there is none."""
    if sent.HasField("edit"):
        return sent.edit.source, "spec.edit.source"
    if sent.HasField("extend"):
        return sent.extend.source, "spec.extend.source"
    return "", ""


async def _check_media(
    parts: GatewayParts, name: str, kind: Literal["image", "audio"], *, caller: Caller
) -> None:
    field = f"spec.input_{kind}"
    check_media_name(name, field=field)
    check_owned_media(name, caller.tenant, field=field)
    await _check_upload(parts, name, kind, field=field)


async def _check_upload(parts: GatewayParts, name: str, kind: MediaKind, *, field: str) -> None:
    head = b""
    try:
        async with aclosing(parts.objects.read(media_key(name), limit=HEAD_BYTES)) as chunks:
            async for chunk in chunks:
                head += chunk
    except NotFoundError as error:
        raise InvalidFieldError(field, f"{name} does not exist") from error
    if kind_of(head) != kind:
        raise InvalidFieldError(field, f"{name} is not an upload of type {kind}/*")


def _check_more_than_zero(duration: Duration, field: str) -> None:
    if duration.seconds > MAX_FRAMES:  # a video has a frame a second at least
        raise InvalidFieldError(field, f"{duration.seconds} s are more than {MAX_FRAMES}")
    is_valid = duration.seconds >= 0 and 0 <= duration.nanos < _NANOS
    if not is_valid or duration.seconds == duration.nanos == 0:
        raise InvalidFieldError(field, "must be more than 0")
