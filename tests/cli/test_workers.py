import asyncio
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from gateway_process import GatewayProcess
from typer.testing import Result

from telecine.client import Client
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2

Run = Callable[..., Result]
Assignment = worker_pb2.Worker.Assignment
WORKER = worker_pb2.Worker(
    name="workers/pod-1",
    state=worker_pb2.Worker.STATE_GENERATING,
    assignments=[
        Assignment(
            video="videos/one",
            state=worker_pb2.Worker.STATE_GENERATING,
            step_index=7,
            num_inference_steps=20,
        ),
        Assignment(video="videos/two", state=worker_pb2.Worker.STATE_UPLOADING),
    ],
    models=["models/toybox", "models/wan"],
    loaded_models=["models/wan"],
    memory_bytes=24 << 30,
)


@pytest.fixture
def worker(gateway: GatewayProcess, redis_url: str) -> worker_pb2.Worker:
    publish(redis_url, WORKER)
    return WORKER


def publish(redis_url: str, worker: worker_pb2.Worker) -> None:
    async def run() -> None:
        redis = connect_redis(redis_url)
        await WorkerDirectory(redis).publish(worker, ttl_seconds=60)
        await redis.aclose()

    asyncio.run(run())


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._terminal, child = pty.openpty()
        # A test run in the background ignores Ctrl-C, and its children would too.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "telecine.cli", *arguments]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, env=environment
        )
        os.close(child)
        self._seen = b""

    def until_shown(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text.encode() not in self._seen:
            assert time.monotonic() < deadline, self._seen
            self._seen += os.read(self._terminal, 65536)

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def test_workers_are_shown_with_what_they_do(run: Run, worker: worker_pb2.Worker) -> None:
    for shown in (run("workers", "--once").stdout, run("workers").stdout):
        rows = shown.splitlines()
        assert [word in rows[1] for word in ("workers/pod-1", "generating", "videos/one", "7/20")]
        assert "uploading" in rows[2]
        assert "videos/two" in rows[2]
        words = " ".join(shown.split())
        assert "(loaded)" in words
        assert "24 GiB" in shown


def test_workers_are_printed_as_json(
    run: Run, worker: worker_pb2.Worker, documents: Callable[[Result], list[dict[str, Any]]]
) -> None:
    (document,) = documents(run("workers", "--json"))
    assert document["state"] == "STATE_GENERATING"


def test_a_worker_is_drained_by_its_bare_id(
    run: Run, worker: worker_pb2.Worker, gateway: GatewayProcess
) -> None:
    assert "draining" in run("workers", "drain", "pod-1").stdout
    with Client(gateway.address) as client:
        assert client.get_worker("pod-1").is_draining
        assert next(client.watch_workers()).is_draining
        assert [found.name for found in client.list_workers(page_size=1)] == [worker.name]


def test_workers_are_shown_live_until_the_user_leaves(
    gateway: GatewayProcess, redis_url: str, worker: worker_pb2.Worker
) -> None:
    terminal = Terminal("workers", "--server", gateway.address)
    terminal.until_shown("workers/pod-1")
    terminal.until_shown("7/20")
    changed = worker_pb2.Worker()
    changed.CopyFrom(worker)
    changed.assignments[0].step_index = 8
    publish(redis_url, changed)
    terminal.until_shown("8/20")
    assert terminal.interrupt() == 0
