"""A video as the dialect shows it, with fields of ours beside its own."""

import time
from typing import Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from telecine.api.http.artifact_object import ArtifactObject, artifact_object
from telecine.api.http.enum_words import enum_word
from telecine.api.http.option_objects import (
    ExtensionObject,
    FileObject,
    LoraObject,
    SourceObject,
    option_fields,
    seconds_text,
    source_id,
)
from telecine.api.stored_files import BLOCKED, state_word
from telecine.settings_section import SECONDS_A_DAY
from telecine.v1 import video_pb2

Status = Literal["queued", "in_progress", "completed", "failed"]

# The dialect has these four alone: another one would end its clients' polling too early.
_STATUSES: dict[video_pb2.Video.State.ValueType, Status] = {
    video_pb2.Video.STATE_QUEUED: "queued",
    video_pb2.Video.STATE_RUNNING: "in_progress",
    video_pb2.Video.STATE_SUCCEEDED: "completed",
    video_pb2.Video.STATE_FAILED: "failed",
    video_pb2.Video.STATE_CANCELLED: "failed",
    video_pb2.Video.STATE_PAUSED: "queued",
}
_DEFAULT_POLL_SECONDS = 1.0
_POLLS_UNTIL_DUE = 4  # about as many polls as fit in what is left
_MIN_POLL_SECONDS, _MAX_POLL_SECONDS = 0.25, 5.0


class VideoError(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class VisemeObject(BaseModel):
    """A shape of the mouth, while the voice is in it."""

    start_seconds: float
    end_seconds: float
    name: str


class LipSyncObject(BaseModel):
    """How voice and mouth go together, where the model made the sound or the picture to a track."""

    offset_seconds: float
    confidence: float
    visemes: list[VisemeObject]


class VideoObject(BaseModel):
    """A video.

    From `job_id` on the fields are ours: where to watch and fetch it, its state in more words
    than the dialect has, and every option with the value really used.
    """

    id: str
    object: Literal["video"] = "video"
    created_at: int
    completed_at: int | None
    expires_at: int | None = None
    model: str
    status: Status
    progress: int
    prompt: str
    seconds: str
    size: str
    remixed_from_video_id: str | None
    error: VideoError | None
    job_id: str
    websocket_url: str
    events_url: str
    video_url: str | None
    thumbnail_url: str | None
    state: str
    stage: str | None
    queue_position: int | None
    estimated_start_at: int | None
    started_at: int | None
    ended_at: int | None
    step_index: int
    num_steps: int
    num_frames: int
    attempt: int
    estimated_microcredits: int
    charged_microcredits: int | None
    expanded_prompt: str | None
    warnings: list[str]
    model_version: str
    model_digest: str
    attention: str | None
    lip_sync: LipSyncObject | None
    artifacts: list[ArtifactObject]
    negative_prompt: str
    seed: int
    num_inference_steps: int
    guidance_scale: float
    fps: int
    sampler: str
    tier: str
    audio_mode: str
    expand_prompt: bool
    input_reference: FileObject | None
    input_audio: str | None
    video: SourceObject | None
    strength: float | None
    extension: ExtensionObject | None
    output_formats: list[str]
    upscale: int
    loras: list[LoraObject]
    labels: dict[str, str]
    start_within: str | None


class VideoList(BaseModel):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[VideoObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(BaseModel):
    """A video that is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


def video_object(video: video_pb2.Video, connection: HTTPConnection) -> VideoObject:
    """Returns a video as the answer to a request shows it."""
    video_id = video.name.removeprefix("videos/")
    return VideoObject(
        id=video_id,
        job_id=video_id,
        **_dialect_fields(video),
        expires_at=_expires_at(video, connection.app.state.video_kept_days),
        **_addresses(video, f"{_base_url(connection)}/v1/videos/{video_id}"),
        **_progress_fields(video),
        **option_fields(video.spec),
    )


def _expires_at(video: video_pb2.Video, kept_days: float | None) -> int | None:
    """Returns when a video that has ended is removed; None where its owner decides."""
    if kept_days is None or not video.HasField("end_time"):
        return None
    return round(video.end_time.seconds + kept_days * SECONDS_A_DAY)


def states_of(status: Status) -> list[video_pb2.Video.State.ValueType]:
    """Returns the states that the dialect has one word for."""
    return [state for state, word in _STATUSES.items() if word == status]


def size_text(size: video_pb2.Size) -> str:
    """Returns a size as the dialect has it: `1280x720`."""
    return f"{size.width}x{size.height}"


def poll_headers(video: video_pb2.Video) -> dict[str, str]:
    """Returns the header that tells a polling client when to ask again; none at the end."""
    if _STATUSES[video.state] not in {"queued", "in_progress"}:
        return {}
    left = _seconds_left(video)
    wait = _DEFAULT_POLL_SECONDS if left is None else left / _POLLS_UNTIL_DUE
    wait = min(max(wait, _MIN_POLL_SECONDS), _MAX_POLL_SECONDS)
    return {"openai-poll-after-ms": str(round(wait * 1000))}


def _dialect_fields(video: video_pb2.Video) -> dict[str, Any]:
    spec = video.spec
    is_done = video.state == video_pb2.Video.STATE_SUCCEEDED
    return {
        "created_at": video.create_time.seconds,
        "completed_at": video.end_time.seconds if is_done else None,
        "model": spec.model.removeprefix("models/"),
        "status": _STATUSES[video.state],
        "progress": video.progress_percent,
        "prompt": spec.prompt,
        "seconds": seconds_text(spec.duration),
        "size": size_text(spec.size),
        "remixed_from_video_id": source_id(spec),
        "error": _error_of(video),
    }


def _base_url(connection: HTTPConnection) -> str:
    """Returns where the caller finds this edge, without a slash at its end."""
    public_url: str = connection.app.state.public_url
    return public_url or str(connection.base_url).rstrip("/")


def _addresses(video: video_pb2.Video, url: str) -> dict[str, Any]:
    kinds = {artifact.kind for artifact in video.artifacts}
    has_video = video_pb2.Artifact.KIND_VIDEO in kinds
    has_thumbnail = video_pb2.Artifact.KIND_THUMBNAIL in kinds
    return {
        "websocket_url": f"{url}/ws".replace("http", "ws", 1),
        "events_url": f"{url}/events",
        "video_url": f"{url}/content" if has_video else None,
        "thumbnail_url": f"{url}/content?variant=thumbnail" if has_thumbnail else None,
    }


def _progress_fields(video: video_pb2.Video) -> dict[str, Any]:
    return {
        "state": state_word(video),
        "stage": enum_word(video_pb2.Stage.Name(video.stage), "STAGE_") if video.stage else None,
        "queue_position": video.queue_position if video.HasField("queue_position") else None,
        "estimated_start_at": _seconds(video, "estimated_start_time"),
        "started_at": _seconds(video, "start_time"),
        "ended_at": _seconds(video, "end_time"),
        "step_index": video.step_index,
        "num_steps": video.num_steps,
        "num_frames": video.num_frames,
        "attempt": video.attempt,
        "estimated_microcredits": video.estimated_microcredits,
        "charged_microcredits": video.charged_microcredits
        if video.HasField("charged_microcredits")
        else None,
        "expanded_prompt": video.expanded_prompt or None,
        "warnings": list(video.warnings),
        "model_version": video.model_version,
        "model_digest": video.model_digest,
        "attention": video.attention or None,
        "artifacts": [artifact_object(artifact) for artifact in video.artifacts],
        "lip_sync": _lip_sync(video.lip_sync) if video.HasField("lip_sync") else None,
    }


def _lip_sync(lip_sync: video_pb2.LipSync) -> LipSyncObject:
    return LipSyncObject(
        offset_seconds=lip_sync.offset_seconds,
        confidence=lip_sync.confidence,
        visemes=[
            VisemeObject(
                start_seconds=viseme.start_seconds,
                end_seconds=viseme.end_seconds,
                name=viseme.name,
            )
            for viseme in lip_sync.visemes
        ],
    )


def _seconds_left(video: video_pb2.Video) -> float | None:
    """Returns how long until the next thing happens: its start, or its end."""
    now = time.time()
    if video.HasField("estimated_start_time"):
        return video.estimated_start_time.ToMilliseconds() / 1000 - now
    if video.HasField("start_time") and video.progress_percent:
        elapsed = now - video.start_time.ToMilliseconds() / 1000
        return elapsed * (100 - video.progress_percent) / video.progress_percent
    return None


def _error_of(video: video_pb2.Video) -> VideoError | None:
    if video.state == video_pb2.Video.STATE_CANCELLED:
        return VideoError(code="cancelled", message="The video was cancelled.")
    if video.state != video_pb2.Video.STATE_FAILED:
        return None
    code = (video.failure.reason or "failed").lower()
    withheld = "The video was made and is withheld." if code == BLOCKED.lower() else ""
    return VideoError(code=code, message=video.failure.message or withheld)


def _seconds(
    video: video_pb2.Video, field: Literal["estimated_start_time", "start_time", "end_time"]
) -> int | None:
    time_of: Timestamp = getattr(video, field)
    return time_of.seconds if video.HasField(field) else None
