"""Videos that outlive whatever breaks, with the real processes."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

from telecine.client import AsyncClient
from telecine.inference.triton_server import TritonServer
from telecine.jobs.redis_server import RedisServer
from telecine.local.python_process import PythonProcess
from telecine.v1 import model_pb2, video_pb2

from .conftest import LONG, Service, ServiceMaker
from .waiting import (
    all_events,
    is_notice,
    is_step,
    next_event,
    next_model,
    step_indexes,
    until,
    until_ready,
)

SLICE_STEPS = 5
ALL_STEPS = set(range(1, LONG["num_inference_steps"] + 1))


async def start_long_video(client: AsyncClient, *, at_step: int = 12) -> str:
    """Returns the name of a video that has done `at_step` steps and has many left."""
    await until_ready(client)
    video = await client.create_video("a red circle moves right", **LONG)
    await next_event(client.watch_video(video.name), is_step(at_step))
    return video.name


async def finished(client: AsyncClient, name: str) -> video_pb2.Video:
    """Returns the video once it has SUCCEEDED, all its steps told."""
    events = await all_events(client, name)
    video = await client.get_video(name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert set(step_indexes(events)) == ALL_STEPS
    return video


async def undisturbed(client: AsyncClient) -> video_pb2.Video:
    """Returns the same video, made without trouble."""
    video = await client.create_video("a red circle moves right", **LONG)
    return await finished(client, video.name)


async def num_steps_redone(client: AsyncClient, name: str) -> int:
    """Returns how many steps a video's log shows more than once."""
    times = Counter(step_indexes(await all_events(client, name)))
    return sum(count - 1 for count in times.values())


def kill(process: PythonProcess) -> None:
    """Kills a process with no warning."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)


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
    service.start_worker(stream_timeout_seconds=2.0)
    async with await service.start_gateway() as client:
        name = await start_long_video(client)
        assert own_triton.pid is not None
        os.kill(model_process(own_triton.pid, "toybox__dit_sampler"), signal.SIGKILL)
        video = await finished(client, name)
        assert video.attempt == 1
        assert await num_steps_redone(client, name) < SLICE_STEPS


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
    kill(doomed)
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
    assert draining.pid is not None
    os.kill(draining.pid, signal.SIGTERM)
    ending = await asyncio.to_thread(os.waitid, os.P_PID, draining.pid, os.WEXITED | os.WNOWAIT)
    assert ending is not None
    assert (ending.si_code, ending.si_status) == (os.CLD_EXITED, 0)
    waiting = await client.get_video(name)
    assert waiting.state == video_pb2.Video.STATE_QUEUED
    assert waiting.step_index % SLICE_STEPS == 0
    service.start_worker()
    await finished(client, name)
    assert await num_steps_redone(client, name) == 0


async def test_a_video_survives_a_restart_of_redis(
    make_service: ServiceMaker, triton_server: TritonServer, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis_server:
        service = make_service(triton_server.grpc_url)
        service.redis_url = redis_server.url
        service.start_worker(lease_seconds=30.0)
        async with await service.start_gateway() as client:
            name = await start_long_video(client)
            redis_server.kill()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(redis_server.start)
            video = await client.wait_for_video(name)
            assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
        service.stop()


def model_process(server_pid: int, model_name: str) -> int:
    """Returns the id of the process in which a Triton server runs a model."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text().split("\0")
        except OSError:  # it has ended
            continue
        if str(server_pid) in command and any(f"/{model_name}/" in part for part in command):
            return int(path.parent.name)
    raise AssertionError(f"{model_name} has no process")


async def collect_final_states(checkpoints: Path, states: dict[str, bytes]) -> None:
    """Keeps each video's last checkpoint, which is removed when the video ends."""
    last = f"-{max(ALL_STEPS):06d}.ckpt"
    while True:
        await asyncio.to_thread(read_states, checkpoints, last, states)
        await asyncio.sleep(0.01)


def read_states(checkpoints: Path, suffix: str, states: dict[str, bytes]) -> None:
    """Reads the checkpoints whose names end so, by their video's id."""
    for path in checkpoints.rglob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):
            states[path.parent.name] = path.read_bytes()
