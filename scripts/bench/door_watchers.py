"""The front door under load: REST and gRPC against empty handlers, thousands of watchers.

python scripts/bench/door_watchers.py [--rounds 5] [--calls 600] [--watchers 2000] [--steps 20]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import uvloop
from gateway_loads import CREATION, MODEL, Worker, calls_per_second, stub_of
from gateway_processes import MAX_QUEUED, Processes, running_process, running_processes
from http_loads import CREATE, Connections, get_request
from report import Figure, figure, write_report
from watcher_process import Arrivals, Watch, watching

from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.v1 import video_service_pb2

KINDS = ("SSE", "gRPC")
PACE_SECONDS = 2.0
SETTLE_SECONDS = 2.0
_WAIT_SECONDS = 100.0

Call = Callable[[], Awaitable[Any]]


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=600, help="of each kind in a round")
    parser.add_argument("--watchers", type=int, default=2000, help="of each kind")
    parser.add_argument("--steps", type=int, default=20, help="that each watcher is sent")
    options = parser.parse_args()
    if 2 * (options.rounds + 1) * options.calls > MAX_QUEUED:
        parser.error(f"rounds x calls would not fit the queue of {MAX_QUEUED:,} videos")
    load = f"load average {os.getloadavg()[0]:.1f} before"
    with running_processes(num_events=0) as processes, running_bare_http() as bare_http:
        rows = uvloop.run(measure(processes, bare_http, options))
    told = [replace(row, conditions=f"{row.conditions}; {load}") for row in rows]
    write_report("door_watchers", told)


@contextmanager
def running_bare_http() -> Iterator[str]:
    """Yields the address of an HTTP server whose handlers do nothing."""
    script = Path(__file__).with_name("bare_http_server.py")
    with tempfile.TemporaryDirectory(prefix="telecine-bench-") as folder:
        file = Path(folder) / "address"
        with running_process([sys.executable, str(script), str(file)], file) as (address, _):
            yield address


async def measure(
    processes: Processes, bare_http: str, options: argparse.Namespace
) -> list[Figure]:
    """Runs every load on the gateway, the calls on the bare servers too."""
    async with AsyncExitStack() as stack:
        redis = connect_redis(processes.redis_url)
        stack.push_async_callback(redis.aclose)
        jobs = JobStore(redis)
        stack.push_async_callback(jobs.close)
        await ModelDirectory(redis).publish(MODEL, worker_id="bench", ttl_seconds=3600)
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address))
            for address in (processes.gateway_address, processes.bare_address)
        ]
        gateway, bare = map(stub_of, channels)
        # First, while the gateway's memory is as it starts.
        watched = await measure_watchers(processes, gateway, jobs, options)
        video = await gateway.CreateVideo(CREATION)
        https = [Connections(address) for address in (processes.gateway_http_address, bare_http)]
        for connections in https:
            stack.callback(connections.close)
        get = video_service_pb2.GetVideoRequest(name=video.name)
        look = get_request(f"/v1/{video.name}")
        calls: dict[str, tuple[Call, Call]] = {
            "gRPC, CreateVideo": (
                partial(gateway.CreateVideo, CREATION),
                partial(bare.CreateVideo, CREATION),
            ),
            "gRPC, GetVideo": (partial(gateway.GetVideo, get), partial(bare.GetVideo, get)),
            "REST, POST": (https[0].caller(CREATE), https[1].caller(CREATE)),
            "REST, GET": (https[0].caller(look), https[1].caller(look)),
        }
        return [*await measure_calls(calls, options), *watched]


async def measure_calls(
    calls: Mapping[str, tuple[Call, Call]], options: argparse.Namespace
) -> list[Figure]:
    """Makes each call, and the one that does nothing, in turn, round by round."""
    show = partial(
        figure,
        better="higher",
        conditions=f"64 calls at once from one process, {options.calls} calls a round, "
        f"{options.rounds} rounds, Redis with appendfsync always",
    )
    rows = []
    for name, (call, empty) in calls.items():
        rates: list[tuple[float, float]] = []
        for each in (call, empty):
            await calls_per_second(each, options.calls // 4)
        for _ in range(options.rounds):
            ours = await calls_per_second(call, options.calls)
            rates.append((ours, await calls_per_second(empty, options.calls)))
        rows += [
            show(f"{name} / empty handler, calls a second", [a / b for a, b in rates]),
            show(f"{name}, calls a second", [ours for ours, _ in rates]),
            show(f"{name}, empty handler: calls a second", [empty for _, empty in rates]),
        ]
    return rows


async def measure_watchers(
    processes: Processes, gateway: Any, jobs: JobStore, options: argparse.Namespace
) -> list[Figure]:
    """Has thousands watch one video on each edge; returns what they cost and how late they are."""
    worker = await Worker.with_new_video(gateway, jobs)
    addresses = {"SSE": processes.gateway_http_address, "gRPC": processes.gateway_address}
    rows: list[Figure] = []
    with ExitStack() as stack:
        pipes: dict[str, Connection] = {}
        for kind in KINDS:
            before = processes.gateway_memory_mib()
            watch = Watch(kind, addresses[kind], worker.name, options.watchers, options.steps)
            pipes[kind] = stack.enter_context(watching(watch))
            await receive(pipes[kind])
            await asyncio.sleep(SETTLE_SECONDS)
            grown_kib = 1024 * (processes.gateway_memory_mib() - before)
            rows.append(
                figure(
                    f"{kind}: memory of the gateway, KiB a watcher",
                    [grown_kib / options.watchers],
                    conditions=f"resident memory with {options.watchers} watchers, less without",
                )
            )
        for _ in range(options.steps):
            started = time.perf_counter()
            await worker.finish_step()
            await asyncio.sleep(PACE_SECONDS - (time.perf_counter() - started))
        for kind, pipe in pipes.items():
            rows += delay_figures(kind, await receive(pipe), worker, options)
    await worker.end()
    return rows


async def receive(pipe: Connection) -> Any:
    """Returns what a process of watchers sends next."""
    if not await asyncio.to_thread(pipe.poll, _WAIT_SECONDS):
        raise RuntimeError(f"the watchers said nothing for {_WAIT_SECONDS:g} s")
    return pipe.recv()


def delay_figures(
    kind: str, arrivals: Arrivals, worker: Worker, options: argparse.Namespace
) -> list[Figure]:
    """Returns how late the steps came, in ms; the spread is that of the steps."""
    by_step: dict[int, list[float]] = {step: [] for step in worker.step_times}
    for step, arrival in arrivals:
        by_step[step].append(1000 * (arrival - worker.step_times[step]))
    show = partial(
        figure,
        conditions=f"{options.watchers} watchers of each kind of one video at once, a process a "
        f"kind, {options.steps} steps, one in {PACE_SECONDS:g} s, from before the worker's call to "
        "the watcher's read; median, lowest and highest of the steps",
    )
    p99 = [statistics.quantiles(delays, n=100)[98] for delays in by_step.values()]
    return [
        show(f"{kind}: delay p50, ms", list(map(statistics.median, by_step.values()))),
        show(f"{kind}: delay p99, ms", p99),
    ]


if __name__ == "__main__":
    main()
