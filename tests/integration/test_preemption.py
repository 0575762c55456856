"""Videos that give way, wait and go on elsewhere, with the real processes."""

import asyncio
import os

from telecine.client import AsyncClient, VideoOptions
from telecine.v1 import video_pb2, worker_pb2

from .conftest import LONG, Service
from .waiting import all_events, is_notice, is_step, next_event, step_indexes, until_ready

Worker = worker_pb2.Worker
ALL_STEPS = list(range(1, LONG["num_inference_steps"] + 1))
# Long enough that another worker has started before it is done.
URGENT: VideoOptions = {**LONG, "num_inference_steps": 100, "tier": video_pb2.TIER_REALTIME}


async def start_batch_video(client: AsyncClient, *, at_step: int = 7) -> str:
    """Returns the name of a video of the least tier that has many steps left."""
    await until_ready(client)
    options: VideoOptions = {**LONG, "tier": video_pb2.TIER_BATCH}
    video = await client.create_video("a red circle moves right", **options)
    await next_event(client.watch_video(video.name), is_step(at_step))
    return video.name


async def in_state(
    client: AsyncClient, name: str, state: video_pb2.Video.State.ValueType
) -> video_pb2.Video:
    """Returns the video once it is in that state."""
    async with asyncio.timeout(120):
        while (video := await client.get_video(name)).state != state:  # noqa: ASYNC110 - polls
            await asyncio.sleep(0.02)
    return video


async def finished(client: AsyncClient, name: str) -> video_pb2.Video:
    """Returns the video once it has SUCCEEDED, each of its steps done once."""
    events = await all_events(client, name)
    video = await client.get_video(name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert step_indexes(events) == ALL_STEPS
    return video


async def worker_in(client: AsyncClient, name: str, *, has_video: str) -> Worker:
    """Returns the worker once it holds that video."""
    async with asyncio.timeout(60):
        async for worker in client.watch_workers():
            if worker.name == name and has_video in {held.video for held in worker.assignments}:
                return worker
    raise AssertionError("the watch ended")


async def test_realtime_takes_over_within_a_step_and_the_video_goes_on_elsewhere(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker(slice_steps=1)
    batch = await start_batch_video(client)
    urgent = await client.create_video("a blue square", **URGENT)
    await next_event(client.watch_video(urgent.name), is_step(1))
    await next_event(client.watch_video(batch), is_notice("PREEMPTED"))
    service.start_worker(slice_steps=1)
    shown = await worker_in(client, "workers/worker-2", has_video=batch)
    assert shown.is_alive
    resumed = await finished(client, batch)
    assert resumed.attempt == 2
    given_way = await next_event(client.watch_video(batch), is_notice("PREEMPTED"))
    steps_since = [
        event
        async for event in client.watch_video(batch)
        if event.HasField("step_finished")
        and urgent.create_time.ToMilliseconds()
        < event.event_time.ToMilliseconds()
        < given_way.event_time.ToMilliseconds()
    ]
    # The one that ran, and at most one more that began while the request was under way.
    assert len(steps_since) <= 2
    undisturbed = await client.create_video("a red circle moves right", **LONG)
    assert (await finished(client, undisturbed.name)).artifacts == resumed.artifacts


async def test_a_paused_video_frees_the_worker_and_goes_on_where_it_was(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker()
    name = await start_batch_video(client)
    await client.pause_video(name)
    paused = await in_state(client, name, video_pb2.Video.STATE_PAUSED)
    assert 0 < paused.step_index < max(ALL_STEPS)
    assert paused.step_index % 5 == 0
    other = await client.create_video("a blue square")
    await in_state(client, other.name, video_pb2.Video.STATE_SUCCEEDED)
    assert (await client.get_video(name)).step_index == paused.step_index
    await client.resume_video(name)
    await finished(client, name)


async def test_a_worker_drained_by_call_hands_its_video_on_and_exits(
    service: Service, client: AsyncClient
) -> None:
    draining = service.start_worker()
    name = await start_batch_video(client)
    shown = await worker_in(client, "workers/worker-1", has_video=name)
    assert (shown.state, shown.is_draining) == (Worker.STATE_GENERATING, False)
    assert list(shown.models) == list(shown.loaded_models) == ["models/toybox"]
    assert (await client.drain_worker("worker-1")).is_draining
    assert draining.pid is not None
    ending = await asyncio.to_thread(os.waitid, os.P_PID, draining.pid, os.WEXITED | os.WNOWAIT)
    assert ending is not None
    assert (ending.si_code, ending.si_status) == (os.CLD_EXITED, 0)
    waiting = await client.get_video(name)
    assert waiting.state == video_pb2.Video.STATE_QUEUED
    gone = await client.get_worker("worker-1")
    assert (gone.is_alive, gone.is_draining, len(gone.assignments)) == (False, True, 0)
    service.start_worker()
    await finished(client, name)
