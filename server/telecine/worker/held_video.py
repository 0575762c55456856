"""One claimed video: everything that its worker tells the store about it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from telecine.errors import CheckpointError, StoreUnavailableError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment, Directive, FinishedStep
from telecine.v1 import video_pb2
from telecine.worker.interruptions import obey
from telecine.worker.worker_state import WorkerStateHolder

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 2.0


class HeldVideo:
    """A claimed video with its lease.

    What must reach the store is tried until it does; what only informs is tried once,
    since a video must not wait for Redis to hear about its steps. Every method raises
    LeaseLostError when the video is another worker's by now, and VideoCancelled when a
    client has cancelled it.
    """

    def __init__(
        self,
        assignment: Assignment,
        *,
        jobs: JobStore,
        checkpoints: CheckpointStore,
        state: WorkerStateHolder,
    ) -> None:
        self.video = assignment.video
        self.lease = assignment.lease
        self.state = state
        self._checkpoints_left = deque(assignment.checkpoints)
        self._jobs = jobs
        self._checkpoints = checkpoints

    @property
    def model_id(self) -> str:
        """The model that makes it: `toybox`."""
        return self.video.spec.model.removeprefix("models/")

    async def enter_stage(self, stage: video_pb2.Stage.ValueType) -> None:
        """Tells everyone who watches that a stage begins."""
        obey(await until_stored(lambda: self._jobs.enter_stage(self.lease, stage)))

    async def finish_step(self, step: FinishedStep) -> None:
        """Tells of a step that the device has finished."""
        await self._inform(lambda: self._jobs.finish_step(self.lease, step))

    async def notify(self, reason: str, message: str) -> None:
        """Tells something that the client may want to know."""
        await self._inform(lambda: self._jobs.notify(self.lease, reason, message))

    async def save_checkpoint(self, state: bytes, *, step_index: int) -> None:
        """Writes a slice's state to disk and lets the store point to it.

        A checkpoint that cannot be written only costs steps if this worker dies.
        """
        try:
            pointer = await self._checkpoints.save(
                self.video.name,
                attempt=self.lease.token,
                step_index=step_index,
                state=state,
                identity=self.video.model_digest,
            )
        except (OSError, CheckpointError) as error:
            _log.warning("checkpoint_failed", video=self.video.name, error=str(error))
            await self.notify("CHECKPOINT_NOT_WRITTEN", f"step {step_index}: {error}")
            return
        await self._inform(lambda: self._jobs.commit_checkpoint(self.lease, pointer))

    async def load_checkpoint(self) -> tuple[bytes, int]:
        """Returns the newest state not yet tried and its step; no bytes and 0 after the last."""
        while self._checkpoints_left:
            pointer = self._checkpoints_left.popleft()
            try:
                state = await self._checkpoints.load(pointer, identity=self.video.model_digest)
            except CheckpointError as error:
                await self.notify(error.reason, f"step {pointer.step_index}: {error}")
                continue
            await self.notify("RESUMED", f"goes on after step {pointer.step_index}")
            return state, pointer.step_index
        return b"", 0

    async def complete(self, artifacts: Sequence[video_pb2.Artifact]) -> None:
        """Ends it SUCCEEDED with its files."""
        await until_stored(lambda: self._jobs.complete(self.lease, artifacts))
        await self._checkpoints.delete_all(self.video.name)

    async def fail(self, failure: video_pb2.Failure) -> None:
        """Ends it FAILED."""
        await until_stored(lambda: self._jobs.fail(self.lease, failure))
        await self._checkpoints.delete_all(self.video.name)

    async def acknowledge_cancel(self) -> None:
        """Ends it CANCELLED."""
        await until_stored(lambda: self._jobs.acknowledge_cancel(self.lease))
        await self._checkpoints.delete_all(self.video.name)

    async def requeue(self, reason: str) -> None:
        """Puts it back at the head of its queue, with its checkpoint."""
        await until_stored(lambda: self._jobs.requeue(self.lease, reason=reason))

    async def _inform(self, call: Callable[[], Awaitable[Directive]]) -> None:
        try:
            obey(await call())
        except StoreUnavailableError as error:
            _log.warning("not_told", video=self.video.name, error=str(error))


async def until_stored(call: Callable[[], Awaitable[_T]]) -> _T:
    """Repeats `call`, with pauses that grow, while Redis cannot be reached."""
    pause_seconds = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await call()
        except StoreUnavailableError as error:
            _log.warning("store_unavailable", error=str(error), retry_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_RETRY_SECONDS)
