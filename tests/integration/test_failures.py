"""Videos that outlive whatever breaks, with the real processes."""

import asyncio
import os
import signal

from rank_processes import model_process

from telecine.client import AsyncClient
from telecine.inference.triton_server import TritonServer
from telecine.v1 import model_pb2, video_pb2

from .conftest import Service, ServiceMaker
from .long_video import (
    ALL_STEPS,
    SLICE_STEPS,
    collect_final_states,
    finished,
    num_steps_redone,
    send,
    start_long_video,
    undisturbed,
)
from .waiting import all_events, is_notice, next_event, next_model, until


async def test_steps_stop_with_triton_and_the_video_finishes_once_it_is_back(
    own_triton: TritonServer, make_service: ServiceMaker
) -> None:
    await asyncio.to_thread(own_triton.start)
    service = make_service(own_triton.grpc_url)
    service.start_worker()
    async with await service.start_gateway() as client:
        name = await start_long_video(client)
        await asyncio.to_thread(own_triton.kill)
        await next_event(client.watch_video(name), is_notice("MODEL_SERVER_UNAVAILABLE"))
        stopped = await client.get_video(name)
        await asyncio.sleep(1.0)
        still = await client.get_video(name)
        assert (still.state, still.step_index) == (stopped.state, stopped.step_index)
        assert still.state == video_pb2.Video.STATE_RUNNING
        await asyncio.to_thread(own_triton.start)
        video = await finished(client, name)
        assert video.attempt == 1
        assert await num_steps_redone(client, name) < SLICE_STEPS
        assert video.artifacts == (await undisturbed(client)).artifacts


async def test_a_video_waits_for_triton_and_says_so(
    own_triton: TritonServer, make_service: ServiceMaker
) -> None:
    service = make_service(own_triton.grpc_url)
    service.start_worker()
    async with await service.start_gateway() as client:
        model = await next_model(client)
        assert model.state == model_pb2.Model.STATE_UNAVAILABLE
        video = await client.create_video("a red circle")
        await next_event(client.watch_video(video.name), is_notice("MODEL_SERVER_UNAVAILABLE"))
        assert (await client.get_video(video.name)).state == video_pb2.Video.STATE_QUEUED
        await asyncio.to_thread(own_triton.start)
        done = await client.wait_for_video(video.name)
        assert done.state == video_pb2.Video.STATE_SUCCEEDED, done.failure


async def test_a_killed_model_process_is_noticed_and_replaced(
    own_triton: TritonServer, make_service: ServiceMaker
) -> None:
    await asyncio.to_thread(own_triton.start)
    service = make_service(own_triton.grpc_url)
    service.start_worker()
    async with await service.start_gateway() as client:
        name = await start_long_video(client)
        assert own_triton.pid is not None
        os.kill(model_process(own_triton.pid, "toybox__dit_sampler"), signal.SIGKILL)
        video = await finished(client, name)
        assert video.attempt == 1
        assert await num_steps_redone(client, name) < SLICE_STEPS
        os.kill(model_process(own_triton.pid, "toybox__t5_encoder"), signal.SIGKILL)
        assert video.artifacts == (await undisturbed(client)).artifacts


async def test_cancel_stops_the_sampler_and_frees_the_worker(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker()
    name = await start_long_video(client)
    await client.cancel_video(name)
    cancelled = await client.wait_for_video(name)
    assert cancelled.state == video_pb2.Video.STATE_CANCELLED
    assert cancelled.step_index < max(ALL_STEPS)
    await until(service.has_no_checkpoints)
    following = await client.create_video("a blue square")
    done = await client.wait_for_video(following.name)
    assert done.state == video_pb2.Video.STATE_SUCCEEDED, done.failure


async def test_another_worker_resumes_a_killed_workers_video_bit_for_bit(
    service: Service, client: AsyncClient
) -> None:
    latents: dict[str, bytes] = {}
    collecting = asyncio.create_task(collect_final_states(service.checkpoints, latents))
    doomed = service.start_worker()
    name = await start_long_video(client)
    send(doomed, signal.SIGKILL)
    service.start_worker()
    resumed = await finished(client, name)
    assert resumed.attempt == 2
    await next_event(client.watch_video(name), is_notice("WORKER_LOST"))
    await next_event(client.watch_video(name), is_notice("RESUMED"))
    assert await num_steps_redone(client, name) <= SLICE_STEPS
    reference = await undisturbed(client)
    collecting.cancel()
    assert resumed.artifacts == reference.artifacts
    states = [latents[video.name.removeprefix("videos/")] for video in (resumed, reference)]
    assert states[0] == states[1]


async def test_a_draining_worker_finishes_its_slice_and_hands_its_video_back(
    service: Service, client: AsyncClient
) -> None:
    draining = service.start_worker()
    name = await start_long_video(client)
    send(draining, signal.SIGTERM)
    assert draining.pid is not None
    ending = await asyncio.to_thread(os.waitid, os.P_PID, draining.pid, os.WEXITED | os.WNOWAIT)
    assert ending is not None
    assert (ending.si_code, ending.si_status) == (os.CLD_EXITED, 0)
    waiting = await client.get_video(name)
    assert waiting.state == video_pb2.Video.STATE_QUEUED
    assert waiting.step_index % SLICE_STEPS == 0
    service.start_worker()
    await finished(client, name)
    assert await num_steps_redone(client, name) == 0


async def test_a_worker_stopped_past_its_lease_writes_nothing_more_when_it_goes_on(
    service: Service, client: AsyncClient
) -> None:
    stopped = service.start_worker()
    name = await start_long_video(client)
    send(stopped, signal.SIGSTOP)
    service.start_worker()
    await next_event(client.watch_video(name), is_notice("RESUMED"))
    send(stopped, signal.SIGCONT)
    await until(lambda: "lease_lost" in stopped.log.read_text())
    video = await finished(client, name)
    assert video.attempt == 2
    events = await all_events(client, name)
    states = [event.state_changed.state for event in events]
    assert states.count(video_pb2.Video.STATE_SUCCEEDED) == 1
    assert stopped.is_running  # it was told, and takes other videos
    assert video.artifacts == (await undisturbed(client)).artifacts
