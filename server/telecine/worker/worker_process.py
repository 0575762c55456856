"""The worker process: puts the parts of a worker together and runs them until it drains."""

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Sequence

import structlog
from redis.asyncio import Redis

from telecine.config import Settings
from telecine.errors import StoreUnavailableError
from telecine.inference.triton_client import TritonClient
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.storage import open_object_store
from telecine.worker.claim_loop import ClaimLoop, ClaimOptions
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.gpu_lane import GpuLane, GpuLaneOptions
from telecine.worker.job_runner import JobRunner
from telecine.worker.model_publisher import ModelPublisher
from telecine.worker.model_registry import ModelRegistry, RegisteredModel
from telecine.worker.model_server_watch import ModelServerWatch

_log = structlog.get_logger(__name__)


async def run_worker(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT, which drain it.

    Draining: the slice that runs is finished and saved and its video goes back to the
    queue; videos whose frames are being made are finished; nothing new is claimed.

    Raises:
        ValueError: none of the models can be served; one that cannot is only logged.
    """
    found = await ModelRegistry().read_all(settings.worker.models)
    if not found.models:
        raise ValueError("; ".join(rejected.reason for rejected in found.rejected))
    models = found.models
    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, draining.set)
    async with contextlib.AsyncExitStack() as stack:
        redis = connect_redis(settings.redis.url)
        stack.push_async_callback(redis.aclose)
        triton = TritonClient(
            settings.triton.grpc_url,
            stream_timeout_seconds=settings.worker.stream_timeout_seconds,
        )
        stack.push_async_callback(triton.close)
        await _run(settings, models, redis=redis, triton=triton, draining=draining)


async def _run(
    settings: Settings,
    models: Sequence[RegisteredModel],
    *,
    redis: Redis,
    triton: TritonClient,
    draining: asyncio.Event,
) -> None:
    options = settings.worker
    worker_id = options.worker_id or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    jobs = JobStore(redis)
    watch = ModelServerWatch(
        triton, patience_seconds=options.model_server_patience_seconds, draining=draining
    )
    publisher = ModelPublisher(
        ModelDirectory(redis), jobs, models=models, watch=watch, worker_id=worker_id
    )
    claim_loop = ClaimLoop(
        jobs,
        _assemble_runner(settings, jobs, triton=triton, watch=watch, draining=draining),
        watch=watch,
        options=ClaimOptions(
            worker_id=worker_id,
            models=[model.model_id for model in models],
            slice_steps=options.slice_steps,
            lease_seconds=options.lease_seconds,
            backlog=options.backlog,
        ),
        draining=draining,
    )
    _log.info("worker_started", worker_id=worker_id, models=[m.model_id for m in models])
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(publisher.run()),
            tasks.create_task(_expire_leases(jobs, period_seconds=options.lease_seconds / 5)),
        ]
        await claim_loop.run()
        for task in background:
            task.cancel()
    await jobs.close()
    _log.info("worker_drained", worker_id=worker_id)


def _assemble_runner(
    settings: Settings,
    jobs: JobStore,
    *,
    triton: TritonClient,
    watch: ModelServerWatch,
    draining: asyncio.Event,
) -> JobRunner:
    options = settings.worker
    return JobRunner(
        jobs,
        CheckpointStore(
            options.checkpoint_folder,
            remote=open_object_store(options.checkpoint_url) if options.checkpoint_url else None,
            quota_bytes=options.checkpoint_quota_bytes,
        ),
        gpu_lane=GpuLane(
            triton,
            watch,
            GpuLaneOptions(
                slice_steps=options.slice_steps, previews_per_video=options.previews_per_video
            ),
            draining=draining,
        ),
        finishing_lane=FinishingLane(open_object_store(settings.storage.url), jobs),
        heartbeat_seconds=options.heartbeat_seconds,
    )


async def _expire_leases(jobs: JobStore, *, period_seconds: float) -> None:
    """Puts videos of lost workers back into the queue; any worker may do it for all."""
    while True:
        try:
            num_expired = await jobs.expire_leases()
        except StoreUnavailableError:
            num_expired = 0
        if num_expired:
            _log.warning("leases_expired", num_expired=num_expired)
        await asyncio.sleep(period_seconds)
