"""Many watchers of one video in a process of their own, so that reading does not slow the load."""

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import grpc
import uvloop
from gateway_loads import stub_of
from http_loads import SseWatcher

from telecine.v1 import video_service_pb2

Arrivals = list[tuple[int, float]]
_CONNECTING = 100  # at once, as many as a listening socket holds without loss
_CALLS_A_CHANNEL = 100


@dataclass(frozen=True)
class Watch:
    """What is watched.

    Attributes:
        kind: `SSE` or `gRPC`.
        num_steps: how many steps each watcher is sent before the process ends.
    """

    kind: str
    address: str
    name: str
    num_watchers: int
    num_steps: int


@contextmanager
def watching(watch: Watch) -> Iterator[Connection]:
    """Runs the watchers; yields what tells when all have begun, and then when each step came."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(watch, theirs))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _run(watch: Watch, pipe: Connection) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_watch(watch, pipe))


async def _watch(watch: Watch, pipe: Connection) -> None:
    arrivals: Arrivals = []
    async with AsyncExitStack() as stack:
        start = _start_sse if watch.kind == "SSE" else _start_grpc
        for first in range(0, watch.num_watchers, _CONNECTING):
            number = min(_CONNECTING, watch.num_watchers - first)
            await start(watch, number, arrivals, stack)
        pipe.send("all have begun")
        while len(arrivals) < watch.num_watchers * watch.num_steps:  # noqa: ASYNC110 (filled below)
            await asyncio.sleep(0.1)
        pipe.send(arrivals)
        await asyncio.Event().wait()


async def _start_sse(watch: Watch, number: int, arrivals: Arrivals, _: AsyncExitStack) -> None:
    host, port = watch.address.split(":")
    path = f"/v1/{watch.name}/events"
    loop = asyncio.get_running_loop()
    made = [
        loop.create_connection(lambda: SseWatcher(path, arrivals), host, int(port))
        for _ in range(number)
    ]
    await asyncio.gather(*(watcher.has_begun for _, watcher in await asyncio.gather(*made)))


async def _start_grpc(watch: Watch, number: int, arrivals: Arrivals, stack: AsyncExitStack) -> None:
    # Channels of one process share a connection unless they are told apart.
    options = [("grpc.use_local_subchannel_pool", 1)]
    request = video_service_pb2.WatchVideoRequest(name=watch.name)
    channel = grpc.aio.insecure_channel(watch.address, options=options)
    stub = stub_of(await stack.enter_async_context(channel))
    calls = [stub.WatchVideo(request) for _ in range(number)]
    await asyncio.gather(*(call.read() for call in calls))
    for call in calls:
        stack.push_async_exit(_reading(call, arrivals))


def _reading(call: Any, arrivals: Arrivals) -> Any:
    async def read() -> None:
        while True:
            event = await call.read()
            if event.HasField("step_finished"):
                arrivals.append((event.step_finished.step_index, time.perf_counter()))

    task = asyncio.create_task(read())

    async def stop(*_: object) -> None:
        task.cancel()

    return stop
