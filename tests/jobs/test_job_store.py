"""Videos from submission to their end, on a real Redis and on a real Valkey."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from submissions import (
    CAPABILITY,
    MODEL,
    NUM_STEPS,
    claim,
    claim_next,
    lose_lease,
    make_step,
    make_submission,
)

from telecine.errors import (
    AlreadyExistsError,
    LeaseLostError,
    NotFoundError,
    QueueFullError,
    VideoStateError,
)
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import CheckpointPointer, Lease, QueueLimits
from telecine.v1 import video_pb2

QUEUED = video_pb2.Video.STATE_QUEUED
RUNNING = video_pb2.Video.STATE_RUNNING
SUCCEEDED = video_pb2.Video.STATE_SUCCEEDED
FAILED = video_pb2.Video.STATE_FAILED
CANCELLED = video_pb2.Video.STATE_CANCELLED
FAILURE = video_pb2.Failure(reason="MODEL_FAILED", message="it did", log_id="7")
ARTIFACT = video_pb2.Artifact(artifact_id="video.mp4", size_bytes=5, digest="sha256:11")
FRAGMENT = video_pb2.VideoEvent.FragmentReady(artifact_id="live.mp4", size_bytes=9, num_frames=1)

Write = Callable[[JobStore, Lease], Awaitable[object]]
WRITES: dict[str, Write] = {
    "heartbeat": lambda store, lease: store.heartbeat(lease),
    "enter_stage": lambda store, lease: store.enter_stage(lease, video_pb2.STAGE_LOADING),
    "finish_step": lambda store, lease: store.finish_step(lease, make_step(1)),
    "notify": lambda store, lease: store.notify(lease, "SOMETHING", "said"),
    "warn": lambda store, lease: store.warn(lease, "SOMETHING", "take care"),
    "announce_fragment": lambda store, lease: store.announce_fragment(lease, FRAGMENT),
    "commit_checkpoint": lambda store, lease: store.commit_checkpoint(lease, pointer(10)),
    "complete": lambda store, lease: store.complete(lease, [ARTIFACT]),
    "fail": lambda store, lease: store.fail(lease, FAILURE),
    "acknowledge_cancel": lambda store, lease: store.acknowledge_cancel(lease),
    "requeue": lambda store, lease: store.requeue(lease, reason="DRAINING"),
}


def pointer(step_index: int) -> CheckpointPointer:
    return CheckpointPointer(f"v/1-{step_index}.ckpt", step_index, "sha256:22", 100)


async def test_submitted_video_is_queued_with_all_that_was_resolved(store: JobStore) -> None:
    submission = make_submission(seed=7, labels={"team": "film"})
    video = await store.submit(submission)
    assert video == await store.get(video.name)
    assert video.state == QUEUED
    assert video.spec == submission.spec
    assert video.num_frames == 33
    assert video.HasField("queue_position")
    assert video.queue_position == 0
    assert video.HasField("create_time")
    assert not video.HasField("start_time")


async def test_video_runs_from_claim_to_artifacts(store: JobStore, client: Redis) -> None:
    submitted = await store.submit(make_submission())
    assignment = await claim_next(store)
    lease = assignment.lease
    assert assignment.video.name == submitted.name
    assert assignment.video.state == RUNNING
    assert assignment.video.attempt == 1
    await store.enter_stage(lease, video_pb2.STAGE_LOADING)
    await store.enter_stage(lease, video_pb2.STAGE_DENOISING)
    await store.finish_step(lease, make_step(1))
    await store.finish_step(lease, make_step(2, preview=b"picture"))
    running = await store.get(submitted.name)
    assert running.stage == video_pb2.STAGE_DENOISING
    assert running.step_index == 2
    assert not running.HasField("queue_position")

    video = await store.complete(lease, [ARTIFACT])
    assert video == await store.get(submitted.name)
    assert video.state == SUCCEEDED
    assert video.progress_percent == 100
    assert list(video.artifacts) == [ARTIFACT]
    assert video.stage == video_pb2.STAGE_UNSPECIFIED
    assert [timing.stage for timing in video.timings] == [
        video_pb2.STAGE_LOADING,
        video_pb2.STAGE_DENOISING,
    ]
    assert video.create_time.ToMicroseconds() <= video.start_time.ToMicroseconds()
    assert video.start_time.ToMicroseconds() <= video.end_time.ToMicroseconds()

    events = await EventLog(client).read(submitted.name)
    assert [event.WhichOneof("event") for event in events] == [
        "state_changed",
        "state_changed",
        "stage_changed",
        "stage_changed",
        "step_finished",
        "step_finished",
        "preview",
        "artifact_ready",
        "state_changed",
    ]
    assert events[6].preview.image == b"picture"
    assert events[4].step_finished.num_inference_steps == NUM_STEPS
    assert events[4].step_finished.elapsed.ToMilliseconds() == 500


async def test_progress_never_shows_more_than_is_done(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    seen = []
    await store.enter_stage(lease, video_pb2.STAGE_LOADING)
    seen.append((await store.get(lease.video_name)).progress_percent)
    await store.enter_stage(lease, video_pb2.STAGE_DENOISING)
    for step_index in range(1, NUM_STEPS + 1):
        await store.finish_step(lease, make_step(step_index))
        seen.append((await store.get(lease.video_name)).progress_percent)
    await store.enter_stage(lease, video_pb2.STAGE_UPLOADING)
    seen.append((await store.get(lease.video_name)).progress_percent)
    assert seen == sorted(seen)
    assert seen[-1] < 100


async def test_repeated_request_returns_the_same_video(store: JobStore) -> None:
    first = await store.submit(make_submission(request_id="r1"))
    assert (await store.submit(make_submission(request_id="r1"))).name == first.name
    assert (await store.submit(make_submission("bob", request_id="r1"))).name != first.name
    with pytest.raises(AlreadyExistsError, match="r1"):
        await store.submit(make_submission(request_id="r1", prompt="another"))
    await claim_next(store)
    assert (await store.submit(make_submission(request_id="r1"))).state == RUNNING


async def test_request_id_is_free_again_once_its_video_is_deleted(store: JobStore) -> None:
    first = await store.submit(make_submission(request_id="r1"))
    await store.cancel(first.name)
    await store.delete(first.name)
    second = await store.submit(make_submission(request_id="r1", prompt="another"))
    assert second.name != first.name


async def test_full_queue_refuses_new_videos_and_repeats_old_ones(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_queued=2))
    first = await store.submit(make_submission(request_id="r1"))
    await store.submit(make_submission())
    with pytest.raises(QueueFullError) as refusal:
        await store.submit(make_submission())
    assert refusal.value.retry_seconds > 0
    assert (await store.submit(make_submission(request_id="r1"))).name == first.name
    await claim_next(store)
    await store.submit(make_submission())


@pytest.mark.parametrize("name", ["videos/none", "videos/../x", "videos/", "other/1", ""])
async def test_unknown_names_are_not_found(store: JobStore, name: str) -> None:
    for call in (store.get, store.cancel, store.delete):
        with pytest.raises(NotFoundError):
            await call(name)


@pytest.mark.parametrize("write", WRITES)
async def test_late_write_of_lost_worker_is_refused(store: JobStore, write: str) -> None:
    await store.submit(make_submission())
    lost = (await claim_next(store)).lease
    await lose_lease(store, lost)
    queued = await store.get(lost.video_name)
    with pytest.raises(LeaseLostError):
        await WRITES[write](store, lost)
    assert await store.get(lost.video_name) == queued

    successor = await claim_next(store)
    assert successor.lease.token > lost.token
    running = await store.get(lost.video_name)
    with pytest.raises(LeaseLostError):
        await WRITES[write](store, lost)
    assert await store.get(lost.video_name) == running
    assert not (await store.heartbeat(successor.lease)).is_cancelled


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("ending", ["complete", "fail", "acknowledge_cancel"])
async def test_nothing_is_written_after_the_end(store: JobStore, write: str, ending: str) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await WRITES[ending](store, lease)
    ended = await store.get(lease.video_name)
    if write != ending:
        with pytest.raises(LeaseLostError):
            await WRITES[write](store, lease)
    assert await store.get(lease.video_name) == ended


@pytest.mark.parametrize("ending", ["complete", "fail", "acknowledge_cancel", "requeue"])
async def test_ending_repeated_after_a_lost_answer_changes_nothing(
    store: JobStore, client: Redis, ending: str
) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    first = await WRITES[ending](store, lease)
    logged = await EventLog(client).read(lease.video_name)
    assert await WRITES[ending](store, lease) == first
    assert await EventLog(client).read(lease.video_name) == logged


async def test_step_repeated_after_a_lost_answer_is_logged_once(
    store: JobStore, client: Redis
) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    for step_index in (1, 2, 2, 3):
        await store.finish_step(lease, make_step(step_index))
    events = await EventLog(client).read(lease.video_name)
    assert [e.step_finished.step_index for e in events if e.HasField("step_finished")] == [1, 2, 3]


async def test_fragments_are_logged_in_order(store: JobStore, client: Redis) -> None:
    name = (await store.submit(make_submission())).name
    lease = (await claim_next(store)).lease
    await store.announce_fragment(lease, FRAGMENT)
    events = await EventLog(client).read(name)
    assert events[-1].fragment_ready == FRAGMENT
    assert events[-1].HasField("event_time")


async def test_failure_keeps_its_reason(store: JobStore, client: Redis) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    video = await store.fail(lease, FAILURE)
    assert video.state == FAILED
    assert video.failure == FAILURE
    events = await EventLog(client).read(lease.video_name)
    assert events[-1].state_changed.failure == FAILURE


async def test_requeued_video_keeps_its_place_and_its_checkpoints(store: JobStore) -> None:
    names = [(await store.submit(make_submission())).name for _ in range(3)]
    lease = (await claim_next(store)).lease
    for step_index in range(1, 13):
        await store.finish_step(lease, make_step(step_index))
        if step_index % 3 == 0:
            await store.commit_checkpoint(lease, pointer(step_index))
    video = await store.requeue(lease, reason="DRAINING")
    assert video.state == QUEUED
    assert video.queue_position == 0
    assert video.step_index == 12

    again = await claim_next(store)
    assert again.video.name == names[0]
    assert again.video.attempt == 2
    assert again.checkpoints == (pointer(12), pointer(9), pointer(6))
    assert (await claim_next(store)).video.name == names[1]


async def test_requeued_video_counts_only_the_steps_that_a_checkpoint_kept(
    store: JobStore,
) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    await store.commit_checkpoint(lease, pointer(10))
    await store.finish_step(lease, make_step(14))
    assert (await store.requeue(lease, reason="DRAINING")).step_index == 10


async def test_expired_lease_requeues_and_says_so(store: JobStore, client: Redis) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store)).lease
    assert await store.expire_leases() == 0
    await lose_lease(store, lease)
    assert await store.expire_leases() == 0
    video = await store.get(lease.video_name)
    assert video.state == QUEUED
    assert video.attempt == 1
    events = await EventLog(client).read(lease.video_name)
    assert events[-2].notice.reason == "WORKER_LOST"
    assert events[-1].state_changed.state == QUEUED


async def test_heartbeat_keeps_a_lease_that_would_have_run_out(store: JobStore) -> None:
    await store.submit(make_submission())
    lease = (await claim_next(store, lease_seconds=0.0)).lease
    await store.heartbeat(replace(lease, lease_seconds=60.0))
    assert await store.expire_leases() == 0


async def test_third_lost_lease_fails_the_video(store: JobStore) -> None:
    video = await store.submit(make_submission())
    for _ in range(3):
        assert (await store.get(video.name)).state == QUEUED
        await lose_lease(store, (await claim_next(store)).lease)
    video = await store.get(video.name)
    assert video.state == FAILED
    assert video.failure.reason == "WORKER_LOST"
    assert video.attempt == 3


async def test_only_ended_videos_are_deleted_and_nothing_of_them_stays(
    store: JobStore, client: Redis
) -> None:
    name = (await store.submit(make_submission(request_id="r1"))).name
    with pytest.raises(VideoStateError) as refusal:
        await store.delete(name)
    assert refusal.value.state == "QUEUED"
    lease = (await claim_next(store)).lease
    with pytest.raises(VideoStateError):
        await store.delete(name)
    completed = await store.complete(lease, [ARTIFACT])
    assert await store.delete(name) == completed
    with pytest.raises(NotFoundError):
        await store.get(name)
    video_id = name.removeprefix("videos/")
    assert not await client.keys(f"*{video_id}*")
    assert not await client.keys("*:request:*")


async def test_claim_takes_only_models_that_the_worker_serves(store: JobStore) -> None:
    await store.submit(make_submission(model="models/other"))
    assert await claim(store) is None
    video = await store.submit(make_submission("bob"))
    assignment = await claim(store, capability=replace(CAPABILITY, models=("absent", MODEL)))
    assert assignment is not None
    assert assignment.video.name == video.name


async def test_waiting_worker_is_woken_by_what_was_submitted(store: JobStore) -> None:
    await store.wait_for_work(0.05)  # the first wait may return at once
    waiting = asyncio.create_task(store.wait_for_work(60.0))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await store.submit(make_submission())
    await waiting


async def test_work_submitted_between_two_waits_is_not_missed(store: JobStore) -> None:
    await store.wait_for_work(0.05)
    await store.submit(make_submission())
    await store.wait_for_work(60.0)


async def test_a_warning_stays_on_the_video_and_is_told_once(
    store: JobStore, client: Redis
) -> None:
    submission = replace(make_submission(), warnings=("from the start",))
    video = await store.submit(submission)
    lease = (await claim_next(store)).lease
    for message in ("88 tokens are cut off", "something else", "88 tokens are cut off"):
        await store.warn(lease, "PROMPT_TRUNCATED", message)
    expected = ["from the start", "88 tokens are cut off", "something else"]
    assert list((await store.get(video.name)).warnings) == expected
    done = await store.complete(lease, [ARTIFACT])
    assert (list(done.warnings), list(done.artifacts)) == (expected, [ARTIFACT])
    events = await EventLog(client).read(video.name)
    told = [event.notice.message for event in events if event.HasField("notice")]
    assert told == ["88 tokens are cut off", "something else"]


async def test_a_repeat_is_found_before_it_is_submitted(store: JobStore) -> None:
    submission = make_submission(request_id="once")
    this = {
        "tenant": submission.tenant,
        "request_id": "once",
        "fingerprint": submission.fingerprint,
    }
    assert await store.find_repeat(**this) is None  # type: ignore[arg-type]
    video = await store.submit(submission)
    assert await store.find_repeat(**this) == video  # type: ignore[arg-type]
    with pytest.raises(AlreadyExistsError):
        await store.find_repeat(tenant=submission.tenant, request_id="once", fingerprint=b"other")
