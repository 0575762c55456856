"""One claimed video from its claim to its end, whatever that is."""

import contextlib
import time
import uuid

import structlog

from telecine.errors import InputUnusableError, LeaseLostError, TelecineError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.media.sound import Sound
from telecine.v1 import video_pb2
from telecine.worker.finished_attempts import FinishedFiles
from telecine.worker.finishing_lane import FinishingLane
from telecine.worker.gpu_lane import GpuLane, num_pixels
from telecine.worker.gpu_turn import GpuTurn
from telecine.worker.held_video import HeldVideo
from telecine.worker.interruptions import HandBack, VideoCancelled, VideoPaused
from telecine.worker.lease_keeper import LeaseKeeper
from telecine.worker.own_disk import OwnDisk
from telecine.worker.worker_manager import WorkerManager
from telecine.worker.worker_state import WorkerState

_log = structlog.get_logger(__name__)


class JobRunner:
    """Takes videos through both lanes and tells the store how each ended.

    Attributes:
        disk: where videos are made; while it is not trusted none should be claimed.
    """

    def __init__(
        self,
        jobs: JobStore,
        checkpoints: CheckpointStore,
        manager: WorkerManager,
        *,
        gpu_lane: GpuLane,
        finishing_lane: FinishingLane,
        heartbeat_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._checkpoints = checkpoints
        self._manager = manager
        self._gpu_lane = gpu_lane
        self._finishing_lane = finishing_lane
        self._heartbeat_seconds = heartbeat_seconds
        self.disk = OwnDisk()

    async def run(self, assignment: Assignment, turn: GpuTurn) -> None:
        """Makes the video; ends its `turn` as soon as it needs the GPU no more. Never raises."""
        status = self._manager.begin(assignment, turn)
        held = HeldVideo(
            assignment, jobs=self._jobs, checkpoints=self._checkpoints, state=status.state
        )
        try:
            await self._run_to_an_end(held, turn)
        except LeaseLostError:
            # Whatever was made here is not wanted any more: another worker has the video.
            _log.warning("lease_lost", video=held.video.name, state=held.state.state.value)
        finally:
            turn.end()
            self._manager.end(status)
            await held.close()

    async def _run_to_an_end(self, held: HeldVideo, turn: GpuTurn) -> None:
        try:
            async with LeaseKeeper(
                self._jobs, held.lease, heartbeat_seconds=self._heartbeat_seconds
            ):
                try:
                    with self.disk.used_by(held.video.name):
                        files, decode_seconds = await self._make(held, turn)
                except (HandBack, VideoPaused):
                    turn.end()
                    await held.settle()
                    raise
            await held.complete(
                files.artifacts, lip_sync=files.lip_sync, gpu_seconds=decode_seconds
            )
            held.state.enter(WorkerState.COMPLETE)
        except VideoCancelled:
            turn.end()
            await held.acknowledge_cancel()
        except VideoPaused:
            await held.acknowledge_pause()
            return
        except HandBack as hand_back:
            await held.requeue(hand_back.reason, counts_as_loss=hand_back.counts_as_loss)
            return
        except LeaseLostError:
            raise
        except Exception as error:
            turn.end()
            await self._fail(held, error)
        await self._finishing_lane.clear(held.video)

    async def _make(self, held: HeldVideo, turn: GpuTurn) -> tuple[FinishedFiles, float]:
        """Returns the files, and for how long what follows denoising held the GPU."""
        if held.video.attempt > 1 or self._jobs.epoch > 0:
            found = await self._finishing_lane.adopt_finished(held)
            if found is not None:
                return found, 0.0
        async with contextlib.AsyncExitStack() as gpu:
            await gpu.enter_async_context(self._gpu_lane.prepare(held))
            async with self._finishing_lane.open(held) as finishing:
                async with contextlib.aclosing(self._gpu_lane.make(held)) as parts:
                    async for part in parts:
                        if isinstance(part, Sound):
                            finishing.add_sound(part)
                        else:
                            await finishing.write(part)
                await gpu.aclose()
                turn.end(is_finishing=True)
                files = await finishing.finish()
        if not held.has_waited:
            tail_seconds = time.monotonic() - held.tail_start
            self._gpu_lane.tail.learn(tail_seconds, num_pixels=num_pixels(held.video))
        return files, held.decode_seconds

    async def _fail(self, held: HeldVideo, error: Exception) -> None:
        log_id = uuid.uuid4().hex
        if isinstance(error, InputUnusableError):  # a client's fault is none of the service's
            _log.info("video_failed", video=held.video.name, log_id=log_id, reason=str(error))
        else:
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
