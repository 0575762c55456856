"""What a worker tells the store about its video, and which checkpoint it resumes from."""

from pathlib import Path

import pytest
from submissions import CAPABILITY, claim

from telecine.errors import LeaseLostError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, FinishedStep, Submission, Verdict
from telecine.jobs.keys import queue_key
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_pb2
from telecine.worker.held_video import HeldVideo, SliceEnd
from telecine.worker.interruptions import VideoCancelled
from telecine.worker.worker_state import WorkerStateHolder

from .conftest import submission


def hold(jobs: JobStore, assignment: Assignment, folder: Path) -> HeldVideo:
    checkpoints = CheckpointStore(folder, remote=None, quota_bytes=1 << 30)
    return HeldVideo(assignment, jobs=jobs, checkpoints=checkpoints, state=WorkerStateHolder())


async def claim_again(jobs: JobStore, held: HeldVideo) -> Assignment:
    """Hands the video back and claims it once more."""
    await held.settle()
    await held.requeue("TEST")
    claimed = await claim(jobs, lease_seconds=30.0)
    assert claimed is not None
    return claimed


async def end_slice(held: HeldVideo, step_index: int) -> Verdict:
    """Ends a slice of five steps on a device that takes 0.5 s a step."""
    held.begin_slice()
    for index in range(step_index - 4, step_index):
        await held.finish_step(step(index), gpu_seconds=0.5)
    end = SliceEnd(step(step_index), 0.5, b"state %d" % step_index, 0)
    return await held.finish_slice(end, capability=CAPABILITY, slice_steps=5)


def step(step_index: int) -> FinishedStep:
    return FinishedStep(step_index, 12, 0.9, 1.0, 1.0)


def realtime_submission() -> Submission:
    realtime = submission()
    realtime.spec.tier = video_pb2.TIER_REALTIME
    return realtime


async def notices(redis_url: str, name: str) -> list[str]:
    client = connect_redis(redis_url)
    events = await EventLog(client).read(name)
    await client.aclose()
    return [event.notice.reason for event in events if event.HasField("notice")]


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
        assert await end_slice(held, step_index) == Verdict.CONTINUE
    resumed = hold(jobs, await claim_again(jobs, held), tmp_path)
    assert await resumed.load_checkpoint() == (b"state 10", 10)


async def test_a_corrupt_checkpoint_is_told_of_and_the_one_before_is_used(
    jobs: JobStore, assignment: Assignment, tmp_path: Path, redis_url: str
) -> None:
    held = hold(jobs, assignment, tmp_path)
    for step_index in (5, 10):
        assert await end_slice(held, step_index) == Verdict.CONTINUE
    await held.settle()
    truncate_checkpoint(tmp_path, step_index=10)
    resumed = hold(jobs, await claim_again(jobs, held), tmp_path)
    assert await resumed.load_checkpoint() == (b"state 5", 5)
    assert await resumed.load_checkpoint() == (b"", 0)
    assert (await notices(redis_url, held.video.name))[-2:] == ["CHECKPOINT_CORRUPT", "RESUMED"]


async def test_checkpoints_of_other_weights_are_told_of_and_not_used(
    jobs: JobStore, assignment: Assignment, tmp_path: Path, redis_url: str
) -> None:
    held = hold(jobs, assignment, tmp_path)
    assert await end_slice(held, 5) == Verdict.CONTINUE
    await held.settle()
    resumed = hold(jobs, await claim_again(jobs, held), tmp_path)
    resumed.identity = "sha256:other"
    assert await resumed.load_checkpoint() == (b"", 0)
    assert (await notices(redis_url, held.video.name))[-1] == "CHECKPOINT_FOREIGN"


async def test_a_checkpoint_that_cannot_be_written_does_not_stop_the_video(
    jobs: JobStore, assignment: Assignment, tmp_path: Path, redis_url: str
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    held = hold(jobs, assignment, in_the_way)
    assert await end_slice(held, 5) == Verdict.CONTINUE
    await held.settle()
    assert (await jobs.get(held.video.name)).state == video_pb2.Video.STATE_RUNNING
    assert await notices(redis_url, held.video.name) == ["CHECKPOINT_NOT_WRITTEN"]
    await jobs.submit(realtime_submission())
    assert await end_slice(held, 10) == Verdict.CONTINUE, "giving way would lose its steps"
    await held.settle()


async def test_a_slice_is_saved_while_the_next_one_runs(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await end_slice(held, 5)
    await end_slice(held, 10)
    assert [path.name[-11:] for path in sorted(tmp_path.rglob("*.ckpt"))][:1] == ["000005.ckpt"]
    await held.settle()
    assert len(list(tmp_path.rglob("*.ckpt"))) == 2


async def test_a_step_s_cost_is_learnt_from_the_steps_that_were_done(
    jobs: JobStore, assignment: Assignment, tmp_path: Path, redis_url: str
) -> None:
    held = hold(jobs, assignment, tmp_path)
    held.begin_slice()
    await held.finish_step(step(11), gpu_seconds=0.5)  # an edit skips those before
    end = SliceEnd(step(12), 0.5, b"state 12", 0)
    await held.finish_slice(end, capability=CAPABILITY, slice_steps=5)
    client = connect_redis(redis_url)
    rate = await client.hget(queue_key("0"), "rate:toybox")
    await client.aclose()
    assert float(rate) == pytest.approx(0.5)


async def test_a_video_gives_way_to_one_of_the_realtime_tier(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    urgent = await jobs.submit(realtime_submission())
    assert await end_slice(held, 5) == Verdict.YIELD
    assert (await claim_again(jobs, held)).video.name == urgent.name


async def test_the_end_of_a_slice_is_where_a_pause_happens(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await jobs.pause(held.video.name)
    assert await end_slice(held, 5) == Verdict.PAUSE
    await held.settle()
    await held.acknowledge_pause()
    assert (await jobs.get(held.video.name)).state == video_pb2.Video.STATE_PAUSED
    await jobs.resume(held.video.name)
    resumed = await claim(jobs, lease_seconds=30.0)
    assert resumed is not None
    assert await hold(jobs, resumed, tmp_path).load_checkpoint() == (b"state 5", 5)


async def test_a_video_that_has_ended_leaves_no_checkpoint(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await end_slice(held, 5)
    await held.complete([])
    assert not list(tmp_path.rglob("*.ckpt"))


async def test_every_write_obeys_a_cancel(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await jobs.cancel(held.video.name)
    with pytest.raises(VideoCancelled):
        await held.enter_stage(video_pb2.STAGE_DENOISING)
    with pytest.raises(VideoCancelled):
        await held.finish_step(step(1), gpu_seconds=0.5)


async def test_a_write_of_a_worker_that_lost_the_video_is_refused(
    jobs: JobStore, assignment: Assignment, tmp_path: Path
) -> None:
    held = hold(jobs, assignment, tmp_path)
    await claim_again(jobs, held)
    with pytest.raises(LeaseLostError):
        await held.complete([])


async def test_work_goes_on_while_redis_is_away_and_is_told_later(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        client = connect_redis(server.url)
        jobs = JobStore(client)
        await jobs.load_functions()
        await jobs.submit(submission())
        claimed = await claim(jobs, lease_seconds=30.0)
        assert claimed is not None
        held = hold(jobs, claimed, tmp_path / "checkpoints")
        server.kill()
        assert await end_slice(held, 5) == Verdict.CONTINUE
        server.start()
        await held.settle()
        again = await claim_again(jobs, held)
        assert again.video.step_index == 5
        resumed = hold(jobs, again, tmp_path / "checkpoints")
        assert await resumed.load_checkpoint() == (b"state 5", 5)
        events = await EventLog(client).read(held.video.name)
        told = [e.step_finished.step_index for e in events if e.HasField("step_finished")]
        assert told == [5], "the steps between are not worth waiting for"
        await jobs.close()
        await client.aclose()
