"""Resolves what a client asked for against what the model can do."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from google.protobuf.duration_pb2 import Duration

from telecine.api.audio_mode import choose_audio_mode
from telecine.api.device_memory import UNLIMITED
from telecine.api.frame_counts import frames_of
from telecine.api.request_validation import check_labels, shown
from telecine.api.video_adapters import copy_loras
from telecine.api.video_inputs import (
    FramePlan,
    check_inputs,
    check_length,
    copy_inputs,
    defaults_of,
    num_given_latent_frames,
    plan_extension,
)
from telecine.errors import InvalidFieldError, NotImplementedYetError
from telecine.jobs.attention_strategy import ClipDemand, choose_attention, needed_bytes
from telecine.prompts.prompt_parser import parse_optional_prompt, parse_prompt
from telecine.v1 import model_pb2, video_pb2

MAX_SEED = 2**63 - 1
MAX_UPSCALE = 8
MAX_OUTPUT_SIDE = 4096  # pixels; the largest that every H.264 player takes

# A drawn seed is exact as a JavaScript number too, so that a web client can send it back.
_DRAWN_SEED_BITS = 53
_NANOS = 1_000_000_000
_MAX_DURATION_SECONDS = 315_576_000_000  # as google.protobuf.Duration has it
_PIXELS_PER_UNIT = 1_000_000
# How often a step of a sampler asks the network; once where it is not listed.
_EVALUATIONS = {"heun": 2, "rk4": 4}

# proto3 takes any number for an enum.
_TIERS = frozenset(video_pb2.Tier.values())
_OUTPUT_FORMATS = frozenset(video_pb2.OutputFormat.values())
_LATER_OUTPUT_FORMATS = (video_pb2.OUTPUT_FORMAT_MP4_AV1,)


_FieldWithPresence = Literal["num_inference_steps", "guidance_scale", "duration", "fps", "size"]
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class ResolvedSpec:
    """A request with every field set, ready to be queued.

    Attributes:
        num_frames: frames of the video; where it is extended, the source's too.
        num_steps: denoising steps in all: those of every chunk that the video is made in.
        step_units: what a step costs, for the fair scheduler: megapixels of the frames that
            it denoises x evaluations of the network.
        memory_bytes: device memory that the model and the video take; 0 where that is unknown.
        start_within_seconds: how long it may wait for its first worker; None for ever.
        attention: which frames see which.
    """

    spec: video_pb2.VideoSpec
    num_frames: int
    num_steps: int
    step_units: float
    memory_bytes: int
    start_within_seconds: float | None
    attention: str


def resolve_spec(
    sent: video_pb2.VideoSpec,
    model: model_pb2.Model,
    source: video_pb2.Video | None = None,
    *,
    device_bytes: int = UNLIMITED,
) -> ResolvedSpec:
    """Returns `sent` with the model's defaults in its unset fields and a seed drawn.

    Args:
        sent: the request's.
        model: that of the request.
        source: the video of this service that it is made from, if it is.
        device_bytes: memory of the largest device that has the model.

    Raises:
        InvalidFieldError: a field is not within the model's limits.
        NotImplementedYetError: a field asks for a feature of a later version.
    """
    _refuse_later_features(sent)
    check_inputs(sent, model)
    limits, defaults = model.limits, defaults_of(sent, model, source)
    spec = _resolve_fields(sent, defaults, model)
    spec.upscale = _upscale(sent, spec.size)
    copy_inputs(sent, spec)
    copy_loras(sent, spec, model)
    plan = _frame_plan(sent, spec, model, source)
    num_chunks = _num_chunks(spec, plan.clip_frames, limits)
    demand = ClipDemand(
        seconds=plan.clip_frames / spec.fps,
        num_pixels=plan.clip_frames * spec.size.width * spec.size.height,
        is_chunked=_is_chunked(spec, limits),
    )
    attention = choose_attention(demand, limits, device_bytes=device_bytes)
    spec.audio_mode = choose_audio_mode(sent, spec, model, attention=attention)
    return ResolvedSpec(
        spec,
        plan.num_frames,
        num_steps=num_chunks * spec.num_inference_steps,
        step_units=_step_units(spec, plan.clip_frames) / num_chunks,
        memory_bytes=needed_bytes(limits, demand.num_pixels, attention=attention),
        start_within_seconds=_copy_start_within(sent, spec),
        attention=attention,
    )


def _resolve_fields(
    sent: video_pb2.VideoSpec, defaults: video_pb2.VideoSpec, model: model_pb2.Model
) -> video_pb2.VideoSpec:
    """Returns those fields of the spec that depend on no other."""
    limits = model.limits
    return video_pb2.VideoSpec(
        model=model.name,
        prompt=parse_prompt(sent.prompt, field="spec.prompt"),
        negative_prompt=_negative_prompt(sent, defaults),
        seed=_seed(sent),
        num_inference_steps=_within(
            "num_inference_steps",
            _chosen(sent, defaults, "num_inference_steps"),
            (limits.min_num_inference_steps, limits.max_num_inference_steps),
        ),
        guidance_scale=_within(
            "guidance_scale",
            _chosen(sent, defaults, "guidance_scale"),
            (limits.min_guidance_scale, limits.max_guidance_scale),
        ),
        duration=_duration(_chosen(sent, defaults, "duration")),
        fps=_within("fps", _chosen(sent, defaults, "fps"), (limits.min_fps, limits.max_fps)),
        size=_size(_chosen(sent, defaults, "size"), model),
        sampler=_sampler(sent.sampler or defaults.sampler, model),
        tier=_tier(sent.tier),
        output_formats=_output_formats(sent),
        labels=_labels(sent),
        expand_prompt=sent.expand_prompt,
    )


def _refuse_later_features(sent: video_pb2.VideoSpec) -> None:
    for index, output_format in enumerate(sent.output_formats):
        field = f"spec.output_formats[{index}]"
        if output_format not in _OUTPUT_FORMATS:
            raise InvalidFieldError(field, f"{output_format} is not a format")
        if output_format in _LATER_OUTPUT_FORMATS:
            name = video_pb2.OutputFormat.Name(output_format)
            raise NotImplementedYetError(field, f"the format {name}")


def _chosen(
    sent: video_pb2.VideoSpec, defaults: video_pb2.VideoSpec, field: _FieldWithPresence
) -> Any:
    """Returns a field with presence: as sent, else as the model has it by default."""
    return getattr(sent if sent.HasField(field) else defaults, field)


def _within(field: str, value: _Number, limits: tuple[_Number, _Number]) -> _Number:
    low, high = limits
    if not low <= value <= high:  # NaN is within nothing
        raise InvalidFieldError(f"spec.{field}", f"{value} is not from {low} to {high}")
    return value


def _negative_prompt(sent: video_pb2.VideoSpec, defaults: video_pb2.VideoSpec) -> str:
    text = sent.negative_prompt or defaults.negative_prompt
    return parse_optional_prompt(text, field="spec.negative_prompt")


def _seed(sent: video_pb2.VideoSpec) -> int:
    if not sent.HasField("seed"):
        return secrets.randbits(_DRAWN_SEED_BITS)
    return _within("seed", sent.seed, (0, MAX_SEED))


def _duration(duration: Duration) -> Duration:
    is_valid = duration.seconds >= 0 and 0 <= duration.nanos < _NANOS
    if not is_valid or duration.seconds == duration.nanos == 0:
        raise InvalidFieldError("spec.duration", "must be more than 0")
    return duration


def _size(size: video_pb2.Size, model: model_pb2.Model) -> video_pb2.Size:
    if size not in model.limits.sizes:
        taken = ", ".join(f"{each.width}x{each.height}" for each in model.limits.sizes)
        raise InvalidFieldError(
            "spec.size", f"{model.name} has no {size.width}x{size.height}; it has {taken}"
        )
    return size


def _sampler(sampler: str, model: model_pb2.Model) -> str:
    if sampler not in model.limits.samplers:
        taken = ", ".join(model.limits.samplers)
        raise InvalidFieldError(
            "spec.sampler", f"{model.name} has no {shown(sampler)}; it has {taken}"
        )
    return sampler


def _tier(tier: video_pb2.Tier.ValueType) -> video_pb2.Tier.ValueType:
    if tier not in _TIERS:
        raise InvalidFieldError("spec.tier", f"{tier} is not a tier")
    return tier or video_pb2.TIER_STANDARD


def _output_formats(sent: video_pb2.VideoSpec) -> list[video_pb2.OutputFormat.ValueType]:
    """Returns each format once, MP4 first: a video's first file is what it is by default."""
    return sorted({each or video_pb2.OUTPUT_FORMAT_MP4_H264 for each in sent.output_formats}) or [
        video_pb2.OUTPUT_FORMAT_MP4_H264
    ]


def _labels(sent: video_pb2.VideoSpec) -> dict[str, str]:
    check_labels(sent.labels, field="spec.labels")
    return dict(sent.labels)


def _upscale(sent: video_pb2.VideoSpec, size: video_pb2.Size) -> int:
    upscale = _within("upscale", sent.upscale, (1, MAX_UPSCALE)) if sent.HasField("upscale") else 1
    if upscale > 1 and upscale * max(size.width, size.height) > MAX_OUTPUT_SIDE:
        raise InvalidFieldError(
            "spec.upscale",
            f"{upscale} x {size.width}x{size.height} is more than {MAX_OUTPUT_SIDE} pixels a side",
        )
    return upscale


def _frame_plan(
    sent: video_pb2.VideoSpec,
    spec: video_pb2.VideoSpec,
    model: model_pb2.Model,
    source: video_pb2.Video | None,
) -> FramePlan:
    if spec.HasField("extend"):
        return plan_extension(sent, spec, model, source)
    num_frames = _num_frames(sent, spec, model)
    check_length(spec, num_frames, source)
    return FramePlan(num_frames, num_frames)


def _num_frames(
    sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec, model: model_pb2.Model
) -> int:
    limits = model.limits
    num_frames = frames_of(spec.duration, spec.fps, multiple=limits.frames_multiple)
    if not limits.min_num_frames <= num_frames <= limits.max_num_frames:
        # Names what the caller wrote: the frame rate alone can make the default length too long.
        field = "fps" if sent.HasField("fps") and not sent.HasField("duration") else "duration"
        raise InvalidFieldError(
            f"spec.{field}",
            f"{spec.duration.ToMilliseconds() / 1000:g} s at {spec.fps} fps are "
            f"{num_frames} frames; {model.name} makes {limits.min_num_frames} to "
            f"{limits.max_num_frames}",
        )
    return num_frames


def _copy_start_within(sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec) -> float | None:
    if not sent.HasField("start_within"):
        return None
    duration = sent.start_within
    if not 0 <= duration.nanos < _NANOS or not 1 <= duration.seconds <= _MAX_DURATION_SECONDS:
        raise InvalidFieldError(
            "spec.start_within", f"is not from 1 s to {_MAX_DURATION_SECONDS} s"
        )
    spec.start_within.CopyFrom(duration)
    return duration.seconds + duration.nanos / _NANOS


def _is_chunked(spec: video_pb2.VideoSpec, limits: model_pb2.ModelLimits) -> bool:
    """Whether the clip is made chunk by chunk: in realtime, and after given frames."""
    is_wanted = spec.tier == video_pb2.TIER_REALTIME or num_given_latent_frames(spec, limits) > 0
    return is_wanted and limits.chunk_latent_frames > 0


def _num_chunks(spec: video_pb2.VideoSpec, clip_frames: int, limits: model_pb2.ModelLimits) -> int:
    """Returns how many chunks the clip is denoised in, one after another."""
    if not _is_chunked(spec, limits):
        return 1
    given_frames = num_given_latent_frames(spec, limits)
    latent_frames = (clip_frames - 1) // limits.frames_multiple + 1 - given_frames
    return -(-latent_frames // limits.chunk_latent_frames)


def _step_units(spec: video_pb2.VideoSpec, num_frames: int) -> float:
    evaluations = _EVALUATIONS.get(spec.sampler, 1) * (2 if spec.guidance_scale > 1 else 1)
    num_pixels = num_frames * spec.size.width * spec.size.height
    return evaluations * num_pixels / _PIXELS_PER_UNIT
