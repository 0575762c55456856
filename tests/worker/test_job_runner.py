"""How a claimed video ends that its worker cannot make."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

from submissions import claim_next, lose_lease

from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import video_pb2
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.gpu_lane import GpuLane
from telecine.worker.gpu_turn import GpuTurn
from telecine.worker.job_runner import JobRunner
from telecine.worker.worker_manager import WorkerManager, WorkerOptions


class BrokenStore(LocalObjectStore):
    """A store with a fault that nobody has foreseen."""

    async def list_keys(self, prefix: str = "") -> AsyncGenerator[str, None]:
        raise RuntimeError(f"a fault at {prefix}")
        yield ""


async def test_fault_in_the_search_for_finished_files_fails_the_video(
    jobs: JobStore, assignment: Assignment, redis_url: str, tmp_path: Path
) -> None:
    await lose_lease(jobs, assignment.lease)
    again = await claim_next(jobs, lease_seconds=30.0)
    client = connect_redis(redis_url)
    directory = WorkerDirectory(client)
    manager = WorkerManager(
        directory,
        WorkerOptions("worker-a", models=lambda: ("toybox",)),
        draining=asyncio.Event(),
        is_ready=lambda: True,
        loaded_models=lambda: (),
    )
    runner = JobRunner(
        jobs,
        CheckpointStore(tmp_path / "checkpoints", remote=None, quota_bytes=1 << 30),
        manager,
        gpu_lane=cast(GpuLane, None),  # it never comes to that
        finishing_lane=FinishingLane(BrokenStore(tmp_path), jobs),
        heartbeat_seconds=10.0,
    )
    turn = GpuTurn()
    await runner.run(again, turn)
    video = await jobs.get(again.video.name)
    assert (video.state, video.failure.reason) == (video_pb2.Video.STATE_FAILED, "INTERNAL")
    assert turn.is_over
    await directory.close()
    await client.aclose()
