"""Entries of a video's event log, to and from the bytes that Redis keeps."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

from telecine.jobs.job_types import FinishedStep, Stage, VideoState
from telecine.v1 import video_pb2


def state_event(state: VideoState, failure: video_pb2.Failure | None = None) -> bytes:
    """Returns the event of entering a state; its queue position is added where it is logged."""
    changed = video_pb2.VideoEvent.StateChanged(state=state, failure=failure)
    return video_pb2.VideoEvent(state_changed=changed).SerializeToString()


def stage_event(stage: Stage) -> bytes:
    """Returns the event of entering a stage."""
    changed = video_pb2.VideoEvent.StageChanged(stage=stage)
    return video_pb2.VideoEvent(stage_changed=changed).SerializeToString()


def step_event(step: FinishedStep) -> bytes:
    """Returns the event of a finished step."""
    finished = video_pb2.VideoEvent.StepFinished(
        step_index=step.step_index,
        num_inference_steps=step.num_inference_steps,
        sigma=step.sigma,
        elapsed=_duration(step.elapsed_seconds),
        eta=_duration(step.eta_seconds),
    )
    return video_pb2.VideoEvent(step_finished=finished).SerializeToString()


def preview_event(step: FinishedStep) -> bytes:
    """Returns the event of a step's preview, empty where it has none."""
    if not step.preview:
        return b""
    preview = video_pb2.VideoEvent.Preview(
        step_index=step.step_index, content_type=step.preview_content_type, image=step.preview
    )
    return video_pb2.VideoEvent(preview=preview).SerializeToString()


def artifact_event(artifact: video_pb2.Artifact) -> bytes:
    """Returns the event of a file that is ready."""
    return video_pb2.VideoEvent(artifact_ready=artifact).SerializeToString()


def fragment_event(fragment: video_pb2.VideoEvent.FragmentReady) -> bytes:
    """Returns the event of more bytes of a file that is still being made."""
    return video_pb2.VideoEvent(fragment_ready=fragment).SerializeToString()


def notice_event(reason: str, message: str) -> bytes:
    """Returns an event that tells the client something."""
    notice = video_pb2.VideoEvent.Notice(reason=reason, message=message)
    return video_pb2.VideoEvent(notice=notice).SerializeToString()


def moved_event() -> bytes:
    """Returns the event of a new queue position, which is added where it is logged."""
    return video_pb2.VideoEvent(queue_moved=video_pb2.VideoEvent.QueueMoved()).SerializeToString()


def decode_event(entry_id: bytes, fields: Mapping[bytes, bytes]) -> video_pb2.VideoEvent:
    """Returns the event in an entry of the log, with the id and the time of the entry."""
    event = video_pb2.VideoEvent.FromString(fields[b"event"])
    event.event_id = entry_id.decode()
    event.event_time.FromMilliseconds(int(entry_id.split(b"-")[0]))
    if b"queue_position" in fields:
        changed = event.queue_moved if event.HasField("queue_moved") else event.state_changed
        changed.queue_position = int(fields[b"queue_position"])
    return event


def is_queue_event(event: video_pb2.VideoEvent) -> bool:
    """Whether the video waits for a worker after this event, until another follows."""
    is_queued = event.state_changed.state == video_pb2.Video.STATE_QUEUED
    return is_queued or event.HasField("queue_moved")


def is_last_event(event: video_pb2.VideoEvent) -> bool:
    """Whether no event can follow: the video has ended."""
    return event.state_changed.state in {
        video_pb2.Video.STATE_SUCCEEDED,
        video_pb2.Video.STATE_FAILED,
        video_pb2.Video.STATE_CANCELLED,
    }


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(round(seconds * 1_000_000))
    return duration
