"""What WorkerService does, for any edge."""

from collections.abc import AsyncGenerator
from functools import partial

from telecine.api.gateway_parts import GatewayParts
from telecine.api.name_pages import page_by_name
from telecine.api.request_validation import check_page_size, check_worker_name
from telecine.v1 import worker_pb2, worker_service_pb2


async def list_workers(
    parts: GatewayParts, request: worker_service_pb2.ListWorkersRequest
) -> worker_service_pb2.ListWorkersResponse:
    """Returns a page of workers, by name."""
    page_size = check_page_size(request.page_size)
    page, token = page_by_name(
        await parts.workers.list_workers(),
        page_size=page_size,
        page_token=request.page_token,
        check_name=partial(check_worker_name, field="page_token"),
    )
    return worker_service_pb2.ListWorkersResponse(workers=page, next_page_token=token)


async def get_worker(
    parts: GatewayParts, request: worker_service_pb2.GetWorkerRequest
) -> worker_pb2.Worker:
    """Returns one worker."""
    check_worker_name(request.name, field="name")
    return await parts.workers.get(request.name)


def watch_workers(
    parts: GatewayParts, _request: worker_service_pb2.WatchWorkersRequest
) -> AsyncGenerator[worker_pb2.Worker, None]:
    """Yields every worker, then each again whenever it changes."""
    return parts.workers.watch()


async def drain_worker(
    parts: GatewayParts, request: worker_service_pb2.DrainWorkerRequest
) -> worker_pb2.Worker:
    """Tells a worker to hand its videos back and exit."""
    check_worker_name(request.name, field="name")
    return await parts.workers.request_drain(request.name)
