"""What was asked for, as a video shows it: every option with the value really used."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from pydantic import BaseModel

from telecine.api.http.enum_words import enum_word
from telecine.v1 import video_pb2


class LoraObject(BaseModel):
    """An adapter that acts on the model."""

    name: str
    scale: float


class FileObject(BaseModel):
    """An upload that a video is made from."""

    file_id: str


class SourceObject(BaseModel):
    """What a video is made out of: a video by its `id`, or an upload by its `file_id`."""

    id: str | None = None
    file_id: str | None = None


class ExtensionObject(BaseModel):
    """What was added to a source, as `telecine.v1.Extend` has it."""

    seconds: str
    num_frames: int
    num_context_frames: int
    num_overlap_frames: int


def option_fields(spec: video_pb2.VideoSpec) -> dict[str, Any]:
    """Returns the options that a VideoObject shows, beside those of the dialect."""
    return {
        "negative_prompt": spec.negative_prompt,
        "seed": spec.seed,
        "num_inference_steps": spec.num_inference_steps,
        "guidance_scale": spec.guidance_scale,
        "fps": spec.fps,
        "sampler": spec.sampler,
        "tier": enum_word(video_pb2.Tier.Name(spec.tier), "TIER_"),
        "audio_mode": enum_word(video_pb2.AudioMode.Name(spec.audio_mode), "AUDIO_MODE_"),
        "expand_prompt": spec.expand_prompt,
        "input_reference": FileObject(file_id=spec.input_image) if spec.input_image else None,
        "input_audio": spec.input_audio or None,
        "video": _source(spec),
        "strength": spec.edit.strength if spec.HasField("edit") else None,
        "extension": _extension(spec.extend) if spec.HasField("extend") else None,
        "output_formats": [
            enum_word(video_pb2.OutputFormat.Name(output_format), "OUTPUT_FORMAT_")
            for output_format in spec.output_formats
        ],
        "upscale": spec.upscale,
        "loras": [LoraObject(name=lora.name, scale=lora.scale) for lora in spec.loras],
        "labels": dict(spec.labels),
        "start_within": seconds_text(spec.start_within) if spec.HasField("start_within") else None,
    }


def source_id(spec: video_pb2.VideoSpec) -> str | None:
    """Returns the id of the video of this service that another one is made out of."""
    source = _source(spec)
    return source.id if source else None


def seconds_text(duration: Duration) -> str:
    """Returns a length as the dialect has it: `4`, `1.0625`."""
    return f"{duration.ToNanoseconds() / 1_000_000_000:g}"


def _source(spec: video_pb2.VideoSpec) -> SourceObject | None:
    source = spec.edit.source or spec.extend.source
    if source.startswith("videos/"):
        return SourceObject(id=source.removeprefix("videos/"))
    return SourceObject(file_id=source) if source else None


def _extension(extend: video_pb2.Extend) -> ExtensionObject:
    return ExtensionObject(
        seconds=seconds_text(extend.duration),
        num_frames=extend.num_frames,
        num_context_frames=extend.num_context_frames,
        num_overlap_frames=extend.num_overlap_frames,
    )
