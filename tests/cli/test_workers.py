import asyncio
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
    async def publish() -> None:
        redis = connect_redis(redis_url)
        await WorkerDirectory(redis).publish(WORKER, ttl_seconds=60)
        await redis.aclose()

    asyncio.run(publish())
    return WORKER


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
