"""Makes Videos from the records that Redis keeps of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from telecine.jobs.job_types import CheckpointPointer, Submission
from telecine.jobs.keys import video_name
from telecine.v1 import video_pb2

Record = Mapping[bytes, bytes]

# Progress in percent when each stage begins; denoising shares what lies before decoding.
_STAGE_PROGRESS = {
    video_pb2.STAGE_LOADING: 0,
    video_pb2.STAGE_CONDITIONING: 1,
    video_pb2.STAGE_DENOISING: 2,
    video_pb2.STAGE_DECODING: 90,
    video_pb2.STAGE_AUDIO: 94,
    video_pb2.STAGE_SAFETY: 96,
    video_pb2.STAGE_UPLOADING: 98,
}


def encode_submitted(submission: Submission) -> bytes:
    """Returns the part of a video that never changes, as Redis keeps it."""
    return video_pb2.Video(
        spec=submission.spec,
        num_frames=submission.num_frames,
        num_steps=submission.num_steps,
        attention=submission.attention,
        model_version=submission.model_version,
        model_digest=submission.model_digest,
        expanded_prompt=submission.expanded_prompt,
        warnings=submission.warnings,
        estimated_microcredits=submission.price_microcredits,
    ).SerializeToString()


def new_record(submitted: bytes) -> Record:
    """Returns what every record of a video begins with."""
    return {b"submitted": submitted, b"state": b"QUEUED", b"attempt": b"0", b"step_index": b"0"}


def decode_record(answer: Sequence[bytes]) -> dict[bytes, bytes]:
    """Returns the record in HGETALL's answer, names and values in turn."""
    return dict(zip(answer[::2], answer[1::2], strict=True))


def assemble_video(record: Record, *, queue_position: int, start_micros: int) -> video_pb2.Video:
    """Returns the video of a record.

    Its position and its expected start, -1 for unknown, count only while it is queued.
    """
    # Encoded messages join by concatenation: what was submitted, then what came of it.
    parts = (record.get(name, b"") for name in (b"submitted", b"warnings", b"outcome"))
    video = video_pb2.Video.FromString(b"".join(parts))
    video.name = video_name(record[b"video"].decode())
    video.state = video_pb2.Video.State.Value(f"STATE_{record[b'state'].decode()}")
    video.stage = video_pb2.Stage.ValueType(int(record.get(b"stage", 0)))
    video.attempt = int(record[b"attempt"])
    video.step_index = int(record[b"step_index"])
    video.progress_percent = _progress_percent(video)
    video.timings.extend(_timings(record))
    if b"paid" in record:
        video.charged_microcredits = int(record[b"paid"])
    _set_time(video.create_time, record, b"create_time")
    _set_time(video.start_time, record, b"start_time")
    _set_time(video.end_time, record, b"end_time")
    if video.state == video_pb2.Video.STATE_QUEUED:
        video.queue_position = queue_position
        if start_micros >= 0:
            video.estimated_start_time.FromMicroseconds(start_micros)
    return video


def encode_checkpoint(pointer: CheckpointPointer) -> str:
    """Returns a pointer as one line."""
    return json.dumps(asdict(pointer), sort_keys=True)


def decode_checkpoints(record: Record) -> tuple[CheckpointPointer, ...]:
    """Returns a record's checkpoints, newest first."""
    lines = record.get(b"checkpoints", b"").decode().splitlines()
    return tuple(CheckpointPointer(**json.loads(line)) for line in lines)


def _progress_percent(video: video_pb2.Video) -> int:
    if video.state == video_pb2.Video.STATE_SUCCEEDED:
        return 100
    denoising = _STAGE_PROGRESS[video_pb2.STAGE_DENOISING]
    decoding = _STAGE_PROGRESS[video_pb2.STAGE_DECODING]
    begun = _STAGE_PROGRESS.get(video.stage, 0)
    if begun >= decoding or video.step_index == 0:
        return begun
    share = min(1.0, video.step_index / max(1, video.num_steps))
    return denoising + int(share * (decoding - denoising))


def _timings(record: Record) -> list[video_pb2.StageTiming]:
    timings = []
    for stage in filter(None, record.get(b"stages", b"").split(b",")):
        micros = record.get(b"timing:" + stage)
        if micros is not None:
            timing = video_pb2.StageTiming(stage=video_pb2.Stage.ValueType(int(stage)))
            timing.duration.FromMicroseconds(int(micros))
            timings.append(timing)
    return timings


def _set_time(field: Timestamp, record: Record, name: bytes) -> None:
    if name in record:
        field.FromMicroseconds(int(record[name]))


def to_micros(instant: datetime) -> int:
    """Returns an instant as records hold it, in microseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
