"""What a worker tells the store about its video, and which checkpoint it resumes from."""

from pathlib import Path

import pytest
from submissions import claim

from telecine.errors import LeaseLostError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, FinishedStep
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2
from telecine.worker.held_video import HeldVideo
from telecine.worker.interruptions import VideoCancelled
from telecine.worker.worker_state import WorkerStateHolder

from .conftest import submission


def hold(jobs: JobStore, assignment: Assignment, folder: Path) -> HeldVideo:
    checkpoints = CheckpointStore(folder, remote=None, quota_bytes=1 << 30)
    return HeldVideo(assignment, jobs=jobs, checkpoints=checkpoints, state=WorkerStateHolder())


async def claim_again(jobs: JobStore, held: HeldVideo) -> Assignment:
    """Hands the video back and claims it once more."""
    await held.requeue("TEST")
    claimed = await claim(jobs, lease_seconds=30.0)
    assert claimed is not None
    return claimed


def truncate_checkpoint(folder: Path, *, step_index: int) -> None:
    (checkpoint,) = folder.rglob(f"*-{step_index:06d}.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])


async def test_a_video_without_checkpoints_starts_from_noise(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    assert await hold(jobs, assignment, tmp_path).load_checkpoint() == (b"", 0)


async def test_the_newest_checkpoint_is_resumed_from(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    for step_index in (5, 10):
        await held.save_checkpoint(b"state %d" % step_index, step_index=step_index)
    resumed = hold(jobs, await claim_again(jobs, held), tmp_path)
    assert await resumed.load_checkpoint() == (b"state 10", 10)


async def test_a_corrupt_checkpoint_is_told_of_and_the_one_before_is_used(
    jobs: JobStore, assignment: Assignment, tmp_path: Path, redis_url: str
) -> None:
    held = hold(jobs, assignment, tmp_path)
    for step_index in (5, 10):
        await held.save_checkpoint(b"state %d" % step_index, step_index=step_index)
    truncate_checkpoint(tmp_path, step_index=10)
    resumed = hold(jobs, await claim_again(jobs, held), tmp_path)
    assert await resumed.load_checkpoint() == (b"state 5", 5)
    assert await resumed.load_checkpoint() == (b"", 0)
    client = connect_redis(redis_url)
    events = await EventLog(client).read(held.video.name)
    await client.aclose()
    reasons = [event.notice.reason for event in events if event.HasField("notice")]
    assert reasons[-2:] == ["CHECKPOINT_CORRUPT", "RESUMED"]


async def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_video(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    held = hold(jobs, assignment, in_the_way)
    await held.save_checkpoint(b"state", step_index=5)
    assert (await jobs.get(held.video.name)).state == video_pb2.Video.STATE_RUNNING


async def test_every_write_obeys_a_cancel(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await jobs.cancel(held.video.name)
    with pytest.raises(VideoCancelled):
        await held.enter_stage(video_pb2.STAGE_DENOISING)
    with pytest.raises(VideoCancelled):
        await held.finish_step(FinishedStep(1, 12, 0.9, 1.0, 1.0))


async def test_a_write_of_a_worker_that_lost_the_video_is_refused(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await claim_again(jobs, held)
    with pytest.raises(LeaseLostError):
        await held.complete([])


async def test_steps_are_not_waited_for_while_redis_is_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        client = connect_redis(server.url)
        jobs = JobStore(client)
        await jobs.load_functions()
        await jobs.submit(submission())
        claimed = await claim(jobs, lease_seconds=30.0)
        assert claimed is not None
        held = hold(jobs, claimed, tmp_path / "checkpoints")
        server.kill()
        await held.finish_step(FinishedStep(1, 12, 0.9, 1.0, 1.0))
        await held.save_checkpoint(b"state", step_index=5)
        server.start()
        await held.enter_stage(video_pb2.STAGE_DENOISING)
        assert (await jobs.get(held.video.name)).stage == video_pb2.STAGE_DENOISING
        await jobs.close()
        await client.aclose()
