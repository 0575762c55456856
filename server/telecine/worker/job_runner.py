"""One claimed video from its claim to its end, whatever that is."""

import asyncio
import contextlib
import time
import uuid

import structlog

from telecine.errors import LeaseLostError, TelecineError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.v1 import video_pb2
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.gpu_lane import GpuLane, num_pixels
from telecine.worker.held_video import HeldVideo
from telecine.worker.interruptions import HandBack, VideoCancelled
from telecine.worker.lease_keeper import LeaseKeeper
from telecine.worker.worker_state import WorkerState, WorkerStateHolder

_log = structlog.get_logger(__name__)


class JobRunner:
    """Takes videos through both lanes and tells the store how each ended."""

    def __init__(
        self,
        jobs: JobStore,
        checkpoints: CheckpointStore,
        *,
        gpu_lane: GpuLane,
        finishing_lane: FinishingLane,
        heartbeat_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._checkpoints = checkpoints
        self._gpu_lane = gpu_lane
        self._finishing_lane = finishing_lane
        self._heartbeat_seconds = heartbeat_seconds

    async def run(self, assignment: Assignment, *, gpu_released: asyncio.Event) -> None:
        """Makes the video; sets `gpu_released` once the next one may begin. Never raises."""
        log = _log.bind(video=assignment.video.name, token=assignment.lease.token)
        state = WorkerStateHolder(lambda now: log.debug("worker_state", state=now.value))
        held = HeldVideo(assignment, jobs=self._jobs, checkpoints=self._checkpoints, state=state)
        try:
            await self._run_to_an_end(held, gpu_released)
        except LeaseLostError:
            # Whatever was made here is not wanted any more: another worker has the video.
            log.warning("lease_lost", state=state.state.value)
        finally:
            state.hand_back()
            gpu_released.set()

    async def _run_to_an_end(self, held: HeldVideo, gpu_released: asyncio.Event) -> None:
        try:
            artifacts = await self._make(held, gpu_released)
            await held.complete(artifacts)
            await self._finishing_lane.clear(held.video)
            held.state.enter(WorkerState.COMPLETE)
        except VideoCancelled:
            await held.acknowledge_cancel()
            await self._finishing_lane.clear(held.video)
        except HandBack as hand_back:
            await held.requeue(hand_back.reason)
        except LeaseLostError:
            raise
        except Exception as error:
            await self._fail(held, error)

    async def _make(self, held: HeldVideo, gpu_released: asyncio.Event) -> list[video_pb2.Artifact]:
        async with LeaseKeeper(self._jobs, held.lease, heartbeat_seconds=self._heartbeat_seconds):
            state = await self._gpu_lane.denoise(held)
            tail_start = time.monotonic()
            async with self._finishing_lane.open(held) as finishing:
                async with contextlib.aclosing(self._gpu_lane.decode(held, state)) as chunks:
                    async for frames in chunks:
                        await finishing.write(frames)
                gpu_released.set()
                artifacts = await finishing.finish()
            self._gpu_lane.tail.learn(
                time.monotonic() - tail_start, num_pixels=num_pixels(held.video)
            )
            return artifacts

    async def _fail(self, held: HeldVideo, error: Exception) -> None:
        log_id = uuid.uuid4().hex
        _log.error("video_failed", video=held.video.name, log_id=log_id, exc_info=error)
        held.state.enter(WorkerState.FAILED)
        is_for_clients = isinstance(error, TelecineError)
        await held.fail(
            video_pb2.Failure(
                reason=error.reason if isinstance(error, TelecineError) else "INTERNAL",
                message=str(error) if is_for_clients else "the worker failed; see its log",
                log_id=log_id,
            )
        )
        await self._finishing_lane.clear(held.video)
