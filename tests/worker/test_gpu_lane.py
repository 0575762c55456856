"""Videos cut into slices: what happens between two of them, and when the model server dies.

The model server is a fake: a real one neither dies on command nor waits within a step.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_triton import FakeTriton
from lane_worker import NUM_STEPS, lane_submission, lane_worker
from redis.asyncio import Redis

from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import JobStore
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_pb2

Video = video_pb2.Video
BATCH, URGENT = 1, 2


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect_redis(redis_url)
    yield client
    await client.aclose()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - another task makes it true
            await asyncio.sleep(0.005)


async def in_state(jobs: JobStore, name: str, state: Video.State.ValueType) -> video_pb2.Video:
    await until(lambda: has_state(jobs, name, state))
    return await jobs.get(name)


async def has_state(jobs: JobStore, name: str, state: Video.State.ValueType) -> bool:
    return (await jobs.get(name)).state == state


async def steps_begun(triton: FakeTriton, num_steps: int) -> None:
    async def are_begun() -> bool:
        return len(triton.steps) >= num_steps

    await until(are_begun)


def release(triton: FakeTriton, num_steps: int) -> None:
    for _ in range(num_steps):
        triton.gate.release()


async def notices(redis: Redis, name: str) -> list[str]:
    events = await EventLog(redis).read(name)
    return [event.notice.reason for event in events if event.HasField("notice")]


async def test_a_video_goes_through_all_slices(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, triton, tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert done.step_index == NUM_STEPS
    assert triton.steps == [BATCH] * NUM_STEPS
    assert len(triton.attentions) == 3
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize(("slice_steps", "num_steps_waited"), [(1, 1), (5, 5)])
async def test_realtime_takes_over_at_the_end_of_the_slice_that_runs(
    jobs: JobStore, redis: Redis, tmp_path: Path, slice_steps: int, num_steps_waited: int
) -> None:
    triton = FakeTriton(is_gated=True)
    batch = await jobs.submit(lane_submission(BATCH, tier="BATCH"))
    async with lane_worker(redis, triton, tmp_path, slice_steps=slice_steps):
        await steps_begun(triton, 1)
        urgent = await jobs.submit(lane_submission(URGENT, tier="REALTIME"))
        release(triton, 10 * NUM_STEPS)
        await in_state(jobs, urgent.name, Video.STATE_SUCCEEDED)
        resumed = await in_state(jobs, batch.name, Video.STATE_SUCCEEDED)
    assert triton.steps[: num_steps_waited + 1] == [BATCH] * num_steps_waited + [URGENT]
    assert triton.steps.count(BATCH) == NUM_STEPS, "nothing is done twice"
    assert resumed.attempt == 2
    assert {"PREEMPTED", "RESUMED"} <= set(await notices(redis, batch.name))


async def test_a_paused_video_frees_the_gpu_and_goes_on_where_it_was(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(is_gated=True)
    paused = await jobs.submit(lane_submission(BATCH))
    other = await jobs.submit(lane_submission(URGENT))
    async with lane_worker(redis, triton, tmp_path):
        await steps_begun(triton, 1)
        await jobs.pause(paused.name)
        release(triton, 10 * NUM_STEPS)
        await in_state(jobs, other.name, Video.STATE_SUCCEEDED)
        still = await jobs.get(paused.name)
        assert (still.state, still.step_index) == (Video.STATE_PAUSED, 5)
        await jobs.resume(paused.name)
        await in_state(jobs, paused.name, Video.STATE_SUCCEEDED)
    assert triton.steps.count(BATCH) == NUM_STEPS


async def test_a_cancelled_video_stops_within_a_step_and_frees_the_gpu(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(is_gated=True)
    cancelled = await jobs.submit(lane_submission(BATCH))
    other = await jobs.submit(lane_submission(URGENT))
    async with lane_worker(redis, triton, tmp_path):
        await steps_begun(triton, 1)
        await jobs.cancel(cancelled.name)
        await in_state(jobs, cancelled.name, Video.STATE_CANCELLED)
        release(triton, 10 * NUM_STEPS)
        await in_state(jobs, other.name, Video.STATE_SUCCEEDED)
    assert triton.steps[:2] == [BATCH, URGENT]


async def test_a_draining_worker_saves_its_slice_and_hands_the_video_back(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(is_gated=True)
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, triton, tmp_path) as (_, draining):
        await steps_begun(triton, 1)
        draining.set()
        release(triton, 10 * NUM_STEPS)
        waiting = await in_state(jobs, video.name, Video.STATE_QUEUED)
    assert waiting.step_index == 5
    assert len(triton.steps) == 5
    assert await notices(redis, video.name) == ["WORKER_DRAINED"]


async def test_a_lost_model_server_is_repaired_and_only_the_slice_is_redone(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(deaths=frozenset({8}))
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, triton, tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert done.attempt == 1
    assert triton.num_repairs == 1
    assert len(triton.steps) == NUM_STEPS + 3  # two steps of the slice, and the one that died


async def test_losses_with_a_finished_slice_between_them_do_not_add_up(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(deaths=frozenset({1, 2, 8, 9, 15}))
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, triton, tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert done.attempt == 1
    assert triton.num_repairs == len(triton.deaths)


async def test_a_video_that_kills_its_model_server_is_set_aside_and_blocks_nobody(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(deadly_seeds=frozenset({BATCH}))
    deadly = await jobs.submit(lane_submission(BATCH))
    other = await jobs.submit(lane_submission(URGENT))
    async with lane_worker(redis, triton, tmp_path):
        failed = await in_state(jobs, deadly.name, Video.STATE_FAILED)
        await in_state(jobs, other.name, Video.STATE_SUCCEEDED)
    assert failed.failure.reason == "WORKER_LOST"
    assert "MODEL_SERVER_LOST" in failed.failure.message
    assert triton.steps.count(BATCH) == triton.num_repairs == 9


async def test_a_video_whose_model_does_not_load_here_waits_for_another_worker(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, FakeTriton(refused_model="toybox"), tmp_path):

        async def is_handed_back() -> bool:
            return "MODEL_NOT_LOADED" in await notices(redis, video.name)

        await until(is_handed_back)
        await in_state(jobs, video.name, Video.STATE_QUEUED)
    async with lane_worker(redis, FakeTriton(), tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert done.attempt == 2


@pytest.mark.parametrize("attention", ["full", "window"])
async def test_a_video_is_denoised_with_the_attention_that_it_was_given(
    jobs: JobStore, redis: Redis, tmp_path: Path, attention: str
) -> None:
    triton = FakeTriton()
    video = await jobs.submit(replace(lane_submission(BATCH), attention=attention))
    assert video.attention == attention
    async with lane_worker(redis, triton, tmp_path):
        await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert set(triton.attentions) == {attention}


async def test_realtime_frames_come_while_later_ones_are_denoised(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    video = await jobs.submit(lane_submission(BATCH, tier="REALTIME"))
    async with lane_worker(redis, triton, tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert (done.step_index, done.num_steps) == (3 * NUM_STEPS, 3 * NUM_STEPS)
    seen = [
        event.step_finished.step_index or f"{event.fragment_ready.num_frames} frames"
        for event in await EventLog(redis).read(video.name, limit=1000)
        if event.WhichOneof("event") in {"step_finished", "fragment_ready"}
    ]
    first_chunk, second_chunk = seen.index("1 frames"), seen.index("5 frames")
    assert seen.index(NUM_STEPS) < first_chunk < seen.index(2 * NUM_STEPS)
    assert seen.index(2 * NUM_STEPS) < second_chunk < seen.index(3 * NUM_STEPS)


async def test_a_prompt_that_is_too_long_is_warned_of_on_the_video(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton(num_prompt_tokens=13)
    video = await jobs.submit(lane_submission(BATCH))
    async with lane_worker(redis, triton, tmp_path):
        done = await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert list(done.warnings) == [
        f"{field}: the model reads the first 4 of its 13 tokens; the last 9 are cut off"
        for field in ("prompt", "negative_prompt")
    ]
    assert (await notices(redis, video.name)).count("PROMPT_TRUNCATED") == 2


async def test_videos_of_one_prompt_have_it_encoded_once(
    jobs: JobStore, redis: Redis, tmp_path: Path
) -> None:
    triton = FakeTriton()
    videos = [await jobs.submit(lane_submission(seed)) for seed in (BATCH, URGENT)]
    async with lane_worker(redis, triton, tmp_path):
        for video in videos:
            await in_state(jobs, video.name, Video.STATE_SUCCEEDED)
    assert triton.prompts == ["a red circle moves right", ""]
