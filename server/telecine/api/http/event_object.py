"""An entry of a video's event log as JSON."""

import base64
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration

from telecine.api.http.artifact_object import artifact_object
from telecine.api.http.enum_words import enum_word
from telecine.v1 import video_pb2


def event_kind(event: video_pb2.VideoEvent) -> str:
    """Returns the event's kind, as its field is named: `step_finished`."""
    return event.WhichOneof("event") or "heartbeat"


def event_text(event: video_pb2.VideoEvent) -> str:
    """Returns an event as one line of JSON: kind, id, time, and what its kind has."""
    kind = event_kind(event)
    head = {"type": kind, "id": event.event_id, "time": event.event_time.ToMilliseconds() / 1000}
    content = _CONTENTS[kind](getattr(event, kind)) if event.event_id else {}
    return json.dumps(head | content, separators=(",", ":"))


def _state(changed: video_pb2.VideoEvent.StateChanged) -> dict[str, Any]:
    content: dict[str, Any] = {
        "state": video_pb2.Video.State.Name(changed.state).removeprefix("STATE_")
    }
    if changed.state == video_pb2.Video.STATE_QUEUED:
        content["queue_position"] = changed.queue_position
    if changed.HasField("failure"):
        failure = changed.failure
        content["error"] = {"code": failure.reason.lower(), "message": failure.message}
    return content


def _step(step: video_pb2.VideoEvent.StepFinished) -> dict[str, Any]:
    return {
        "step_index": step.step_index,
        "num_inference_steps": step.num_inference_steps,
        "sigma": step.sigma,
        "elapsed_seconds": _seconds(step.elapsed),
        "eta_seconds": _seconds(step.eta),
    }


def _stage(changed: video_pb2.VideoEvent.StageChanged) -> dict[str, Any]:
    return {"stage": enum_word(video_pb2.Stage.Name(changed.stage), "STAGE_")}


def _notice(notice: video_pb2.VideoEvent.Notice) -> dict[str, Any]:
    return {"reason": notice.reason, "message": notice.message}


def _moved(moved: video_pb2.VideoEvent.QueueMoved) -> dict[str, Any]:
    return {"queue_position": moved.queue_position}


def _preview(preview: video_pb2.VideoEvent.Preview) -> dict[str, Any]:
    image = base64.b64encode(preview.image).decode()
    return {
        "step_index": preview.step_index,
        "image_url": f"data:{preview.content_type};base64,{image}",
    }


def _artifact(artifact: video_pb2.Artifact) -> dict[str, Any]:
    shown = artifact_object(artifact).model_dump()
    return {"artifact_id": shown.pop("id"), **shown}  # `id` is the event's


def _fragment(fragment: video_pb2.VideoEvent.FragmentReady) -> dict[str, Any]:
    return {
        "artifact_id": fragment.artifact_id,
        "offset": fragment.offset,
        "size_bytes": fragment.size_bytes,
        "digest": fragment.digest,
        "num_frames": fragment.num_frames,
        "attempt": fragment.attempt,
    }


def _seconds(duration: Duration) -> float:
    return duration.ToMicroseconds() / 1_000_000


_CONTENTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "state_changed": _state,
    "stage_changed": _stage,
    "step_finished": _step,
    "preview": _preview,
    "artifact_ready": _artifact,
    "notice": _notice,
    "queue_moved": _moved,
    "fragment_ready": _fragment,
}
