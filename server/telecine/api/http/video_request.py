"""The body that asks for a video, as the dialect has it and with every option of ours."""

from typing import Annotated, Any, Literal

from google.protobuf.duration_pb2 import Duration
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.datastructures import UploadFile

from telecine.api.http import text_forms
from telecine.api.request_validation import shown
from telecine.api.video_batches import MAX_VIDEOS
from telecine.errors import InvalidFieldError
from telecine.v1 import video_pb2

_INT32 = {"ge": -(2**31), "le": 2**31 - 1}

TierWord = Literal["realtime", "premium", "standard", "batch"]
AudioModeWord = Literal["none", "joint", "post_sync"]
OutputFormatWord = Literal["mp4_h264", "webm_vp9", "mp4_av1"]
Count = Annotated[int, Field(**_INT32)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def _text_of(value: Any) -> Any:
    """Returns a length as text: clients send `"4"`, people also write 4 or 2.5."""
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Seconds = Annotated[
    str,
    BeforeValidator(_text_of),
    Field(pattern=text_forms.SECONDS, json_schema_extra={"examples": ["4"]}),
]


class Body(BaseModel):
    """A request's body; an unknown field is an error, so that no typo goes unseen."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class ReferenceUrl(Body):
    """A picture that is fetched, or an upload."""

    image_url: str | None = None
    file_id: str | None = None


class SourceVideo(Body):
    """A video of this service, or an upload."""

    id: str | None = None
    file_id: str | None = None


class UploadReference(Body):
    """An upload."""

    file_id: str


class LoraField(Body):
    """An adapter that acts on the model."""

    name: str
    scale: Number | None = None


class VideoOptions(Body):
    """What may be said of any video beside its prompt; unset fields take the model's defaults."""

    model: str | None = None
    size: Annotated[str, Field(pattern=text_forms.SIZE)] | None = None
    negative_prompt: str | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    num_inference_steps: Count | None = None
    guidance_scale: Number | None = None
    fps: Count | None = None
    sampler: str | None = None
    tier: TierWord | None = None
    audio_mode: AudioModeWord | None = None
    expand_prompt: bool = False
    input_audio: str | SkipJsonSchema[UploadFile] | None = None
    output_formats: list[OutputFormatWord] = []
    upscale: Count | None = None
    labels: dict[str, str] = {}
    start_within: Seconds | None = None
    loras: list[str | LoraField] = []
    webhook_url: str | None = None
    n: Annotated[int, Field(ge=1, le=MAX_VIDEOS)] | None = None


class CreateBody(VideoOptions):
    """What `POST /v1/videos` takes."""

    prompt: str
    seconds: Seconds | None = None
    input_reference: ReferenceUrl | SkipJsonSchema[UploadFile] | None = None


class DerivedBody(VideoOptions):
    """What may be said of a video that is made from another one, whose options it takes else."""

    prompt: str
    strength: Number | None = None


class RemixBody(DerivedBody):
    """What `POST /v1/videos/{video_id}/remix` takes."""


class EditBody(DerivedBody):
    """What `POST /v1/videos/edits` takes; `seconds` is the length of what is made."""

    video: SourceVideo | SkipJsonSchema[UploadFile]
    seconds: Seconds | None = None


class ExtendBody(VideoOptions):
    """What `POST /v1/videos/extensions` takes.

    `seconds` is what is added, `total_seconds` the length of the whole, which must be said of a
    file: the server does not know how long it is.
    """

    prompt: str
    video: SourceVideo | SkipJsonSchema[UploadFile]
    seconds: Seconds
    total_seconds: Seconds | None = None


class EstimateBody(VideoOptions):
    """What `POST /v1/videos/estimate` takes: what another route would be asked for.

    `kind` says which: `create`; `edit`, which a remix is too, or `extend` of `video`. The prompt
    changes no price and may be left out.
    """

    kind: Literal["create", "edit", "extend"] = "create"
    prompt: str | None = None
    seconds: Seconds | None = None
    total_seconds: Seconds | None = None
    input_reference: UploadReference | None = None
    video: SourceVideo | None = None
    strength: Number | None = None


def spec_of(body: VideoOptions, *, prompt: str, seconds: str | None = None) -> video_pb2.VideoSpec:
    """Returns the spec that a body asks for, less what the video is made from.

    Raises:
        InvalidFieldError: an adapter's strength is no number.
    """
    spec = video_pb2.VideoSpec(
        prompt=prompt,
        negative_prompt=body.negative_prompt or "",
        seed=body.seed,
        num_inference_steps=body.num_inference_steps,
        guidance_scale=body.guidance_scale,
        fps=body.fps,
        sampler=body.sampler or "",
        expand_prompt=body.expand_prompt,
        upscale=body.upscale,
        labels=body.labels,
        loras=[_lora_of(lora, f"loras[{place}]") for place, lora in enumerate(body.loras)],
        model=model_name(body.model) if body.model else "",
        size=_size_of(body.size) if body.size else None,
        duration=duration_of(seconds) if seconds else None,
        start_within=duration_of(body.start_within) if body.start_within else None,
        output_formats=[
            video_pb2.OutputFormat.Value(f"OUTPUT_FORMAT_{word.upper()}")
            for word in body.output_formats
        ],
    )
    if body.tier:
        spec.tier = video_pb2.Tier.Value(f"TIER_{body.tier.upper()}")
    if body.audio_mode:
        spec.audio_mode = video_pb2.AudioMode.Value(f"AUDIO_MODE_{body.audio_mode.upper()}")
    return spec


def model_name(model: str) -> str:
    """Returns a model's full name; the dialect names it without `models/`."""
    return model if model.startswith("models/") else f"models/{model}"


def upload_name(file_id: str) -> str:
    """Returns an upload's full name."""
    return file_id if file_id.startswith("media/") else f"media/{file_id}"


def duration_of(seconds: str) -> Duration:
    """Returns a length of checked text, exactly."""
    whole, _, fraction = seconds.partition(".")
    return Duration(seconds=int(whole), nanos=int(fraction.ljust(9, "0") or 0))


def _size_of(size: str) -> video_pb2.Size:
    width, height = size.split("x")
    return video_pb2.Size(width=int(width), height=int(height))


def _lora_of(lora: str | LoraField, field: str) -> video_pb2.Lora:
    """Returns an adapter; text is its name, or `name=scale`."""
    if isinstance(lora, LoraField):
        return video_pb2.Lora(name=lora.name, scale=lora.scale)
    name, equals, scale = lora.partition("=")
    try:
        return video_pb2.Lora(name=name, scale=float(scale) if equals else None)
    except ValueError:
        raise InvalidFieldError(field, f"{shown(scale)} is not a strength") from None
