"""WorkerService: what workers say of themselves, over the wire."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from telecine.jobs.redis_client import connect_redis
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2, worker_service_pb2, worker_service_pb2_grpc

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
GENERATING = worker_pb2.Worker.STATE_GENERATING


@pytest.fixture
async def directory(redis_url: str) -> AsyncIterator[WorkerDirectory]:
    client = connect_redis(redis_url)
    yield WorkerDirectory(client)
    await client.aclose()


@pytest.fixture
async def service(gateway: Any) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield worker_service_pb2_grpc.WorkerServiceStub(channel)


async def publish(directory: WorkerDirectory, *worker_ids: str, **fields: Any) -> None:
    for worker_id in worker_ids:
        worker = worker_pb2.Worker(name=f"workers/{worker_id}", **fields)
        await directory.publish(worker, ttl_seconds=30)


async def test_a_worker_is_shown_as_it_said_it_is(service: Any, directory: WorkerDirectory) -> None:
    await publish(directory, "a", state=GENERATING, models=["models/toybox"])
    worker = await service.GetWorker(worker_service_pb2.GetWorkerRequest(name="workers/a"))
    assert (worker.state, worker.is_alive) == (GENERATING, True)
    assert list(worker.models) == ["models/toybox"]


async def test_pages_hold_every_worker_once_by_name(
    service: Any, directory: WorkerDirectory
) -> None:
    await publish(directory, "c", "a", "b")
    request = worker_service_pb2.ListWorkersRequest(page_size=2)
    first = await service.ListWorkers(request)
    request.page_token = first.next_page_token
    second = await service.ListWorkers(request)
    assert [worker.name for worker in first.workers] == ["workers/a", "workers/b"]
    assert [worker.name for worker in second.workers] == ["workers/c"]
    assert not second.next_page_token


@pytest.mark.parametrize(
    ("field", "fields"), [("page_token", {"page_token": "AAAA"}), ("page_size", {"page_size": -1})]
)
async def test_bad_list_request_is_refused(
    service: Any, refused: Refused, field: str, fields: dict[str, Any]
) -> None:
    refusal = await refused(service.ListWorkers(worker_service_pb2.ListWorkersRequest(**fields)))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("name", ["", "a", "workers/", "workers/a/b"])
async def test_malformed_worker_name_is_refused(service: Any, refused: Refused, name: str) -> None:
    for call in (
        service.GetWorker(worker_service_pb2.GetWorkerRequest(name=name)),
        service.DrainWorker(worker_service_pb2.DrainWorkerRequest(name=name)),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "name")


async def test_an_unknown_worker_is_not_found(service: Any, refused: Refused) -> None:
    for call in (
        service.GetWorker(worker_service_pb2.GetWorkerRequest(name="workers/a")),
        service.DrainWorker(worker_service_pb2.DrainWorkerRequest(name="workers/a")),
    ):
        assert (await refused(call)).code == grpc.StatusCode.NOT_FOUND


async def test_a_watcher_sees_workers_and_their_changes(
    service: Any, directory: WorkerDirectory
) -> None:
    await publish(directory, "a")
    stream = service.WatchWorkers(worker_service_pb2.WatchWorkersRequest())
    assert (await stream.read()).state == worker_pb2.Worker.STATE_UNSPECIFIED
    await publish(directory, "a", state=GENERATING)
    assert (await stream.read()).state == GENERATING
    stream.cancel()


async def test_a_drained_worker_hears_of_it(service: Any, directory: WorkerDirectory) -> None:
    await publish(directory, "a")
    request = worker_service_pb2.DrainWorkerRequest(name="workers/a")
    for _ in range(2):
        assert (await service.DrainWorker(request)).is_draining
    assert await directory.publish(worker_pb2.Worker(name="workers/a"), ttl_seconds=30)
