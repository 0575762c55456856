"""From frames to stored files."""

import asyncio
import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import StoredObject
from telecine.v1 import video_pb2
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.held_video import HeldVideo
from telecine.worker.worker_state import WorkerState, WorkerStateHolder


async def test_frames_become_a_stored_video_and_a_still_of_its_middle(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    store = LocalObjectStore(tmp_path)
    held = HeldVideo(
        assignment,
        jobs=jobs,
        checkpoints=CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30),
        state=decoding(),
    )
    frames = np.zeros((9, 64, 64, 3), dtype=np.uint8)
    frames[4] = 255
    async with FinishingLane(store, jobs).open(held) as finishing:
        for chunk in (frames[:1], frames[1:5], frames[5:]):
            await finishing.write(chunk)
        artifacts, lip_sync = await finishing.finish()
    assert lip_sync is None
    assert held.state.state == WorkerState.UPLOADING
    assert [artifact.artifact_id for artifact in artifacts] == [
        "video.mp4",
        "thumbnail.webp",
        "spritesheet.webp",
    ]
    assert [artifact.kind for artifact in artifacts] == [
        video_pb2.Artifact.KIND_VIDEO,
        video_pb2.Artifact.KIND_THUMBNAIL,
        video_pb2.Artifact.KIND_SPRITESHEET,
    ]
    folder = tmp_path / held.video.name / str(held.video.attempt)
    for artifact in artifacts:
        data = (folder / artifact.artifact_id).read_bytes()
        assert artifact.size_bytes == len(data)
        assert artifact.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert num_frames(folder / "video.mp4") == 9
    with av.open(str(folder / "thumbnail.webp")) as container:
        assert next(container.decode(video=0)).to_ndarray(format="rgb24").mean() > 250


async def test_a_video_is_stored_in_every_format_that_is_asked_for(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    assignment.video.spec.output_formats.extend(
        [video_pb2.OUTPUT_FORMAT_MP4_H264, video_pb2.OUTPUT_FORMAT_WEBM_VP9]
    )
    held = HeldVideo(
        assignment,
        jobs=jobs,
        checkpoints=CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30),
        state=decoding(),
    )
    async with FinishingLane(LocalObjectStore(tmp_path), jobs).open(held) as finishing:
        await finishing.write(np.zeros((9, 64, 64, 3), dtype=np.uint8))
        artifacts, _ = await finishing.finish()
    folder = tmp_path / held.video.name / str(held.video.attempt)
    files = {
        artifact.artifact_id: (artifact.content_type, num_frames(folder / artifact.artifact_id))
        for artifact in artifacts
        if artifact.kind == video_pb2.Artifact.KIND_VIDEO
    }
    assert files == {"video.mp4": ("video/mp4", 9), "video.webm": ("video/webm", 9)}


class StuckStore(LocalObjectStore):
    """Stores no picture, and a file only when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.has_begun, self.may_end, self.was_stopped = asyncio.Event(), asyncio.Event(), False

    async def put(self, key: str, data: bytes) -> StoredObject:  # noqa: ARG002
        await self.has_begun.wait()
        raise RuntimeError(f"a fault at {key}")

    async def put_file(self, key: str, path: Path) -> StoredObject:
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_stopped = True
            raise
        return await super().put_file(key, path)


async def test_an_upload_that_fails_stops_the_others(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = HeldVideo(
        assignment,
        jobs=jobs,
        checkpoints=CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30),
        state=decoding(),
    )
    store = StuckStore(tmp_path / "objects")
    async with FinishingLane(store, jobs).open(held) as finishing:
        await finishing.write(np.zeros((9, 64, 64, 3), dtype=np.uint8))
        with pytest.raises(RuntimeError, match="a fault at"):
            await finishing.finish()
        assert store.was_stopped


def num_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def decoding() -> WorkerStateHolder:
    """The state of a video whose frames are being made."""
    holder = WorkerStateHolder()
    for state in (
        WorkerState.LOADING,
        WorkerState.READY,
        WorkerState.INITIALIZING,
        WorkerState.GENERATING,
        WorkerState.DECODING,
    ):
        holder.enter(state)
    return holder
