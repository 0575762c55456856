"""The gateway against bare grpc.aio: unary calls, 500 watchers of one video, a stalled reader.

python scripts/bench/gateway.py [--rounds 5] [--calls 1500] [--watchers 500] [--events 60]
"""

import argparse
import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc
import uvloop
from gateway_loads import (
    CREATION,
    MODEL,
    Worker,
    calls_per_second,
    read_steps,
    start_watchers,
    stub_of,
)
from gateway_processes import MAX_QUEUED, Processes, running_processes
from report import Figure, figure, write_report

from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_service_pb2

PACED_EVENTS = 50
PACE_SECONDS = 0.1
STALL_PREVIEW = bytes(60_000)
STALL_EVENTS = 500  # 30 MB


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1500, help="of each kind in a round")
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--events", type=int, default=60, help="to each watcher in a round")
    options = parser.parse_args()
    if (options.rounds + 1) * options.calls > MAX_QUEUED:
        parser.error(f"rounds x calls would not fit the queue of {MAX_QUEUED:,} videos")
    with running_processes(num_events=options.events) as processes:
        rows = uvloop.run(measure(processes, options))
    write_report("gateway", rows)


async def measure(processes: Processes, options: argparse.Namespace) -> list[Figure]:
    """Runs every load, the bare server and the gateway in turn."""
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address))
            for address in (processes.bare_address, processes.gateway_address)
        ]
        bare, gateway = map(stub_of, channels)
        redis = connect_redis(processes.redis_url)
        stack.push_async_callback(redis.aclose)
        jobs = JobStore(redis)
        stack.push_async_callback(jobs.close)
        await ModelDirectory(redis).publish(MODEL, worker_id="bench", ttl_seconds=3600)
        return [
            *await measure_calls(bare, gateway, options),
            *await measure_fan_out(bare, gateway, jobs, options),
            await measure_stalled_reader(processes, gateway, jobs, options),
        ]


async def measure_calls(bare: Any, gateway: Any, options: argparse.Namespace) -> list[Figure]:
    """Measures CreateVideo and GetVideo over an empty handler, round by round."""
    video = await gateway.CreateVideo(CREATION)
    get = video_service_pb2.GetVideoRequest(name=video.name)
    loads = {
        "empty": lambda: bare.CreateVideo(CREATION),
        "CreateVideo": lambda: gateway.CreateVideo(CREATION),
        "GetVideo": lambda: gateway.GetVideo(get),
    }
    rates: dict[str, list[float]] = {name: [] for name in loads}
    for load in loads.values():
        await calls_per_second(load, options.calls // 4)
    for _ in range(options.rounds):
        for name, load in loads.items():
            rates[name].append(await calls_per_second(load, options.calls))
    conditions = (
        f"64 calls at once from one process, {options.calls} calls a round, "
        f"{options.rounds} rounds, Redis with appendfsync always"
    )
    ratios = {
        name: [rate / empty for rate, empty in zip(rates[name], rates["empty"], strict=True)]
        for name in ("CreateVideo", "GetVideo")
    }
    return [
        figure(
            "CreateVideo / empty handler, calls a second",
            ratios["CreateVideo"],
            goal=0.5,
            better="higher",
            conditions=conditions,
        ),
        figure(
            "GetVideo / empty handler, calls a second",
            ratios["GetVideo"],
            better="higher",
            conditions=conditions,
        ),
        *(
            figure(f"{name}, calls a second", rates[name], better="higher", conditions=conditions)
            for name in loads
        ),
    ]


async def measure_fan_out(
    bare: Any, gateway: Any, jobs: JobStore, options: argparse.Namespace
) -> list[Figure]:
    """Measures many watchers of one video over as many raw streams, and their delay."""
    raw_rates, rates, p50, p99 = [], [], [], []
    for _ in range(options.rounds):
        raw_rates.append(await raw_stream_rate(bare, options))
        rates.append(await watch_rate(gateway, jobs, options))
        delays = await watch_delays(gateway, jobs, options)
        p50.append(statistics.median(delays))
        p99.append(statistics.quantiles(delays, n=100)[98])
    conditions = (
        f"{options.watchers} watchers of one video in one process, {options.events} events "
        f"each as fast as they come, {options.rounds} rounds"
    )
    paced = (
        f"{options.watchers} watchers of one video in one process, {1 / PACE_SECONDS:g} events "
        f"a second, from before the worker's call to the watcher's read, {options.rounds} rounds"
    )
    ratios = [rate / raw for rate, raw in zip(rates, raw_rates, strict=True)]
    return [
        figure(
            "WatchVideo / raw server stream, messages a second",
            ratios,
            goal=0.8,
            better="higher",
            conditions=conditions,
        ),
        figure("WatchVideo, messages a second", rates, better="higher", conditions=conditions),
        figure(
            "raw server stream, messages a second",
            raw_rates,
            better="higher",
            conditions=conditions,
        ),
        figure("WatchVideo delay p50, ms", p50, conditions=paced),
        figure("WatchVideo delay p99, ms", p99, conditions=paced),
    ]


async def raw_stream_rate(bare: Any, options: argparse.Namespace) -> float:
    """Returns the messages a second of streams that only write."""
    calls = await start_watchers(bare, "videos/bare", options.watchers)
    arrivals: list[tuple[int, float]] = []
    started = time.perf_counter()
    await bare.CancelVideo(video_service_pb2.CancelVideoRequest())
    await asyncio.gather(*(read_steps(call, options.events, arrivals) for call in calls))
    return len(arrivals) / (time.perf_counter() - started)


async def watch_rate(gateway: Any, jobs: JobStore, options: argparse.Namespace) -> float:
    """Returns the messages a second while a worker finishes steps as fast as it can."""
    worker = await Worker.with_new_video(gateway, jobs)
    calls = await start_watchers(gateway, worker.name, options.watchers)
    arrivals: list[tuple[int, float]] = []
    reading = asyncio.gather(*(read_steps(call, options.events, arrivals) for call in calls))
    started = time.perf_counter()
    for _ in range(options.events):
        await worker.finish_step()
    await reading
    elapsed = time.perf_counter() - started
    await worker.end()
    return len(arrivals) / elapsed


async def watch_delays(gateway: Any, jobs: JobStore, options: argparse.Namespace) -> list[float]:
    """Returns how late each message came, in ms, while steps end at an even pace."""
    worker = await Worker.with_new_video(gateway, jobs)
    calls = await start_watchers(gateway, worker.name, options.watchers)
    arrivals: list[tuple[int, float]] = []
    reading = asyncio.gather(*(read_steps(call, PACED_EVENTS, arrivals) for call in calls))
    for _ in range(PACED_EVENTS):
        await worker.finish_step()
        await asyncio.sleep(PACE_SECONDS)
    await reading
    await worker.end()
    return [1000 * (arrival - worker.step_times[step]) for step, arrival in arrivals]


async def measure_stalled_reader(
    processes: Processes, gateway: Any, jobs: JobStore, options: argparse.Namespace
) -> Figure:
    """Measures what the gateway grows by while one of two watchers does not read."""
    await memory_after_previews(processes, gateway, jobs, is_reader_stalled=False)  # warms up
    growths = []
    for _ in range(options.rounds):
        without = await memory_after_previews(processes, gateway, jobs, is_reader_stalled=False)
        stalled = await memory_after_previews(processes, gateway, jobs, is_reader_stalled=True)
        growths.append(stalled - without)
    sent_mb = STALL_EVENTS * len(STALL_PREVIEW) / 1e6
    return figure(
        "memory that one stalled watcher adds to the gateway, MiB",
        growths,
        goal=8.0,
        conditions=f"{sent_mb:g} MB of events to two watchers, one of which reads",
    )


async def memory_after_previews(
    processes: Processes, gateway: Any, jobs: JobStore, *, is_reader_stalled: bool
) -> float:
    """Returns the gateway's memory in MiB after a watched video with many large events."""
    worker = await Worker.with_new_video(gateway, jobs)
    stalled, reader = await start_watchers(gateway, worker.name, 2)
    if not is_reader_stalled:
        stalled.cancel()
    reading = asyncio.create_task(read_steps(reader, STALL_EVENTS, []))
    for _ in range(STALL_EVENTS):
        await worker.finish_step(STALL_PREVIEW)
    await reading
    memory_mib = processes.gateway_memory_mib()
    stalled.cancel()
    await worker.end()
    return memory_mib


if __name__ == "__main__":
    main()
