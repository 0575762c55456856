"""The worker process: puts the parts of a worker together and runs them until it drains."""

import asyncio
import contextlib
import re
import secrets
import signal
import socket

import structlog
from redis.asyncio import Redis

from telecine.config import Settings, WorkerSettings
from telecine.errors import NotFoundError, StoreUnavailableError
from telecine.inference.triton_client import TritonClient
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore, open_job_store
from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.store_epoch import StoreMemory, memory_of
from telecine.jobs.transitions import ENDED_STATES
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.storage import open_object_store
from telecine.storage.object_store import ObjectStore
from telecine.v1 import video_pb2
from telecine.work_folder import work_folder
from telecine.worker.claim_loop import ClaimLoop, ClaimOptions
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.gpu_lane import GpuLane, GpuLaneOptions
from telecine.worker.job_runner import JobRunner
from telecine.worker.model_publisher import ModelPublisher
from telecine.worker.model_residency import ModelResidency
from telecine.worker.model_server_watch import ModelServerWatch
from telecine.worker.served_models import ServedModels
from telecine.worker.video_inputs import InputReader
from telecine.worker.worker_manager import WorkerManager, WorkerOptions
from telecine.worker.worker_models import WorkerModels

_log = structlog.get_logger(__name__)
_SWEEP_SECONDS = 3600.0


async def run_worker(settings: Settings) -> None:
    """Runs a worker until SIGTERM, SIGINT or DrainWorker, which drain it.

    Draining: the slice that runs is finished and saved and its video goes back to the
    queue; videos whose frames are being made are finished; nothing new is claimed.

    Raises:
        ValueError: none of the models can be served; one that cannot is only logged.
    """
    with work_folder():
        await _run(settings)


async def _run(settings: Settings) -> None:
    served = await ServedModels.read(settings.worker)
    draining = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, draining.set)
    async with contextlib.AsyncExitStack() as stack:
        redis = connect_redis(settings.redis.url)
        stack.push_async_callback(redis.aclose)
        jobs = open_job_store(redis, settings.queue, memory=_memory(settings))
        stack.push_async_callback(jobs.close)
        triton = TritonClient(
            settings.triton.grpc_url,
            stream_timeout_seconds=settings.worker.stream_timeout_seconds,
        )
        stack.push_async_callback(triton.close)
        checkpoints = _open_checkpoints(settings.worker)
        stack.push_async_callback(checkpoints.close)
        worker = _Worker(settings, served, redis=redis, jobs=jobs, draining=draining)
        await worker.run(triton, checkpoints)


class _Worker:
    """The parts of one worker process."""

    def __init__(
        self,
        settings: Settings,
        served: ServedModels,
        *,
        redis: Redis,
        jobs: JobStore,
        draining: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._options = settings.worker
        self._served = served
        self._redis = redis
        self._jobs = jobs
        self._draining = draining
        self._id = self._options.worker_id or _draw_worker_id()

    async def run(self, triton: TritonClient, checkpoints: CheckpointStore) -> None:
        """Returns once the worker has drained."""
        watch = ModelServerWatch(
            triton,
            patience_seconds=self._options.model_server_patience_seconds,
            draining=self._draining,
        )
        models = self._make_models(triton, watch)
        manager = self._make_manager(watch, models)
        publisher = ModelPublisher(
            ModelDirectory(self._redis), self._jobs, models=models, watch=watch, worker_id=self._id
        )
        store = open_object_store(self._settings.storage.url)
        gpu_lane = GpuLane(
            triton,
            watch,
            GpuLaneOptions(
                slice_steps=self._options.slice_steps,
                previews_per_video=self._options.previews_per_video,
                embeddings_cache_bytes=self._options.embeddings_cache_bytes,
            ),
            draining=self._draining,
            models=models,
            inputs=InputReader(
                store, self._jobs, patience_seconds=self._options.model_server_patience_seconds
            ),
        )
        claim_loop = ClaimLoop(
            self._jobs,
            self._make_runner(gpu_lane, checkpoints, manager, store),
            watch=watch,
            options=self._claim_options(models),
            draining=self._draining,
        )
        _log.info("worker_started", worker_id=self._id, models=list(self._served.models))
        period_seconds = self._options.lease_seconds / 5
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(manager.run()),
                tasks.create_task(publisher.run()),
                tasks.create_task(_expire(self._jobs, period_seconds=period_seconds)),
                tasks.create_task(_sweep(checkpoints, self._jobs)),
            ]
            await claim_loop.run()
            for task in background:
                task.cancel()
        await models.close()
        await manager.leave()
        _log.info("worker_drained", worker_id=self._id)

    def _make_runner(
        self,
        gpu_lane: GpuLane,
        checkpoints: CheckpointStore,
        manager: WorkerManager,
        store: ObjectStore,
    ) -> JobRunner:
        return JobRunner(
            self._jobs,
            checkpoints,
            manager,
            gpu_lane=gpu_lane,
            finishing_lane=FinishingLane(store, self._jobs),
            heartbeat_seconds=self._options.heartbeat_seconds,
        )

    def _claim_options(self, models: WorkerModels) -> ClaimOptions:
        return ClaimOptions(
            worker_id=self._id,
            capability=models.capability,
            lease_seconds=self._options.lease_seconds,
            slice_steps=self._options.slice_steps,
            backlog=self._options.backlog,
        )

    def _make_models(self, triton: TritonClient, watch: ModelServerWatch) -> WorkerModels:
        residency = ModelResidency(
            triton,
            self._options.memory_bytes,
            memory_bytes=self._served.memory_bytes,
            provide=self._served.provide,
        )
        return WorkerModels(
            self._served, residency, watch=watch, memory_bytes=self._options.memory_bytes
        )

    def _make_manager(self, watch: ModelServerWatch, models: WorkerModels) -> WorkerManager:
        return WorkerManager(
            WorkerDirectory(self._redis),
            WorkerOptions(
                worker_id=self._id,
                models=models.model_ids,
                memory_bytes=self._options.memory_bytes,
            ),
            draining=self._draining,
            is_ready=lambda: watch.was_ready,
            loaded_models=models.loaded_models,
        )


def _memory(settings: Settings) -> StoreMemory:
    worker_id = settings.worker.worker_id
    process = f"worker-{worker_id}" if worker_id else "worker"
    return memory_of(settings.redis.memory_folder, process)


def _draw_worker_id() -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:48]
    return f"{host or 'worker'}-{secrets.token_hex(4)}"


def _open_checkpoints(options: WorkerSettings) -> CheckpointStore:
    return CheckpointStore(
        options.checkpoint_folder,
        remote=open_object_store(options.checkpoint_url) if options.checkpoint_url else None,
        quota_bytes=options.checkpoint_quota_bytes,
    )


async def _expire(jobs: JobStore, *, period_seconds: float) -> None:
    """Ends leases and deadlines that have run out; any worker may do it for all."""
    while True:
        with contextlib.suppress(StoreUnavailableError):
            if num_leases := await jobs.expire_leases():
                _log.warning("leases_expired", num_expired=num_leases)
            if num_deadlines := await jobs.expire_deadlines():
                _log.info("deadlines_expired", num_expired=num_deadlines)
        await asyncio.sleep(period_seconds)


async def _sweep(checkpoints: CheckpointStore, jobs: JobStore) -> None:
    """Removes the checkpoints that lost workers have left of videos that are over."""

    async def is_over(name: str) -> bool:
        try:
            video = await jobs.get(name)
        except NotFoundError:
            return True
        return video_pb2.Video.State.Name(video.state).removeprefix("STATE_") in ENDED_STATES

    while True:
        with contextlib.suppress(StoreUnavailableError):
            if num_swept := await checkpoints.sweep(is_over):
                _log.info("checkpoints_swept", num_videos=num_swept)
        await asyncio.sleep(_SWEEP_SECONDS)
