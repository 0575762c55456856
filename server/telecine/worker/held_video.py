"""One claimed video: everything that its worker tells the store about it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from telecine.errors import CheckpointError, StoreUnavailableError
from telecine.jobs.checkpoint_store import CheckpointStore
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import (
    Assignment,
    Capability,
    CheckpointPointer,
    Directive,
    FinishedStep,
    SliceReport,
    Verdict,
)
from telecine.v1 import video_pb2
from telecine.worker.interruptions import obey
from telecine.worker.worker_state import WorkerStateHolder

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 2.0
# The device waits for the verdict: a store that is this slow counts as away.
_VERDICT_SECONDS = 0.5


@dataclass(frozen=True)
class SliceEnd:
    """Where a slice ended: its last step, how long the device took for it, and the state after.

    No later step changes the first `num_final_frames` of the latents.
    """

    step: FinishedStep
    step_seconds: float
    state: bytes
    num_final_frames: int


class HeldVideo:
    """A claimed video with its lease.

    What must reach the store is tried until it does; what only informs is tried once,
    since a video must not wait for Redis to hear about its steps. Every method raises
    LeaseLostError when the video is another worker's by now, and VideoCancelled when a
    client has cancelled it.

    Attributes:
        num_server_losses: how often in a row the model server was lost while it made this
            video, with no finished slice between.
        identity: digest of the model that makes it here; checkpoints of another are not used.
        decode_seconds: for how long decoding and sound held the GPU.
        tail_start: when, on the monotonic clock, its last frames were begun to be decoded.
        has_waited: whether it was kept waiting by a server that was away: how long it took then
            says nothing of others.
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
        self.num_server_losses = 0
        self.identity = assignment.video.model_digest
        self.decode_seconds = 0.0
        self.tail_start = 0.0
        self.has_waited = False
        self._checkpoints_left = deque(assignment.checkpoints)
        self._jobs = jobs
        self._checkpoints = checkpoints
        self._saving: asyncio.Task[None] | None = None
        self._uncommitted: CheckpointPointer | None = None
        self._untold: deque[SliceReport] = deque()
        self._tell: Callable[[SliceReport], Awaitable[Verdict]] | None = None
        self._is_disk_good = True
        self._open_gpu_seconds = 0.0
        self._open_steps = 0

    @property
    def model_id(self) -> str:
        """The model that makes it: `toybox`."""
        return self.video.spec.model.removeprefix("models/")

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is a checkpoint that was not tried yet."""
        return bool(self._checkpoints_left)

    async def enter_stage(self, stage: video_pb2.Stage.ValueType) -> None:
        """Tells everyone who watches that a stage begins."""
        obey(await until_stored(lambda: self._jobs.enter_stage(self.lease, stage)))

    async def finish_step(self, step: FinishedStep, *, gpu_seconds: float) -> None:
        """Tells of a step that the device has finished in `gpu_seconds`.

        The last one of a slice goes to `finish_slice` instead.
        """
        self._note_step(step, gpu_seconds)
        await self._inform(lambda: self._jobs.finish_step(self.lease, step))

    async def notify(self, reason: str, message: str) -> None:
        """Tells something that the client may want to know."""
        await self._inform(lambda: self._jobs.notify(self.lease, reason, message))

    async def warn(self, reason: str, message: str) -> None:
        """Adds a warning to the video, for whoever looks at it later too."""
        obey(await until_stored(lambda: self._jobs.warn(self.lease, reason, message)))

    def begin_slice(self) -> None:
        """A slice begins; one that broke off was for nothing, and nobody pays for it."""
        self._open_gpu_seconds, self._open_steps = 0.0, 0

    async def finish_slice(
        self, end: SliceEnd, *, capability: Capability, slice_steps: int
    ) -> Verdict:
        """Tells of a finished slice and returns what to do next, without waiting for the disk.

        The state is saved while the next slice runs. While the store is away the work goes
        on, and it is told later.
        """
        await self._settle_saving()
        self.num_server_losses = 0
        self._note_step(end.step, end.step_seconds)
        self._saving = asyncio.create_task(self._save(end.state, end.step.step_index))
        report = SliceReport(
            step_index=end.step.step_index,
            num_steps=self._open_steps,
            gpu_seconds=self._open_gpu_seconds,
            checkpoint=None,
            # A video that gives way without one would do its slice again, each time.
            is_checkpoint_coming=self._is_disk_good,
            last_step=end.step,
        )
        self._untold.append(report)
        self._open_gpu_seconds, self._open_steps = 0.0, 0
        self._tell = partial(
            self._jobs.finish_slice, self.lease, capability=capability, slice_steps=slice_steps
        )
        try:
            async with asyncio.timeout(_VERDICT_SECONDS):
                return await self._tell_slices()
        except (StoreUnavailableError, TimeoutError) as error:
            _log.warning("slice_not_told", video=self.video.name, error=str(error))
            return Verdict.CONTINUE

    async def settle(self) -> None:
        """Returns once another worker, on another host even, can go on from what was saved."""
        await self._settle_saving()
        await until_stored(self._tell_slices)
        if (pointer := self._uncommitted) is not None:
            await until_stored(lambda: self._commit(pointer))
        await self._checkpoints.flush(self.video.name)

    async def close(self) -> None:
        """Waits for what is being written, whatever comes of it."""
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)

    async def load_checkpoint(self) -> tuple[bytes, int]:
        """Returns the newest state not yet tried and its step; no bytes and 0 after the last."""
        while self._checkpoints_left:
            pointer = self._checkpoints_left.popleft()
            try:
                state = await self._checkpoints.load(pointer, identity=self.identity)
            except CheckpointError as error:
                await self.notify(error.reason, f"step {pointer.step_index}: {error}")
                continue
            await self.notify("RESUMED", f"goes on after step {pointer.step_index}")
            self.state.finish_step(pointer.step_index)
            return state, pointer.step_index
        return b"", 0

    async def complete(
        self,
        artifacts: Sequence[video_pb2.Artifact],
        *,
        lip_sync: video_pb2.LipSync | None = None,
        gpu_seconds: float = 0.0,
    ) -> None:
        """Ends it SUCCEEDED with its files; `gpu_seconds` is what decoding took."""
        await until_stored(
            lambda: self._jobs.complete(
                self.lease, artifacts, lip_sync=lip_sync, gpu_seconds=gpu_seconds
            )
        )
        await self._delete_checkpoints()

    async def fail(self, failure: video_pb2.Failure) -> None:
        """Ends it FAILED."""
        await until_stored(lambda: self._jobs.fail(self.lease, failure))
        await self._delete_checkpoints()

    async def acknowledge_cancel(self) -> None:
        """Ends it CANCELLED, and says what its broken slice has used."""
        used = self._open_gpu_seconds + sum(report.gpu_seconds for report in self._untold)
        await until_stored(lambda: self._jobs.acknowledge_cancel(self.lease, gpu_seconds=used))
        await self._delete_checkpoints()

    async def acknowledge_pause(self) -> None:
        """Sets it aside with its checkpoint."""
        await until_stored(lambda: self._jobs.acknowledge_pause(self.lease))

    async def requeue(self, reason: str, *, counts_as_loss: bool = False) -> None:
        """Puts it back at the head of its queue, with its checkpoint."""
        await until_stored(
            lambda: self._jobs.requeue(self.lease, reason=reason, counts_as_loss=counts_as_loss)
        )

    def _note_step(self, step: FinishedStep, gpu_seconds: float) -> None:
        self._open_gpu_seconds += gpu_seconds
        self._open_steps += 1
        self.state.finish_step(step.step_index)

    async def _tell_slices(self) -> Verdict:
        verdict = Verdict.CONTINUE
        while self._untold and self._tell is not None:
            verdict = await self._tell(self._untold[0])
            self._untold.popleft()
        return verdict

    async def _save(self, state: bytes, step_index: int) -> None:
        """Writes a checkpoint and lets the store point to it.

        One that cannot be written only costs steps if this worker dies.
        """
        try:
            pointer = await self._checkpoints.save(
                self.video.name,
                fencing_token=self.lease.token,
                step_index=step_index,
                state=state,
                identity=self.identity,
            )
        except CheckpointError as error:
            self._is_disk_good = False
            _log.warning("checkpoint_failed", video=self.video.name, error=str(error))
            with contextlib.suppress(StoreUnavailableError):
                await self._jobs.notify(self.lease, error.reason, f"step {step_index}: {error}")
            return
        self._is_disk_good = True
        self._uncommitted = pointer
        with contextlib.suppress(StoreUnavailableError):
            await self._commit(pointer)

    async def _commit(self, pointer: CheckpointPointer) -> None:
        await self._jobs.commit_checkpoint(self.lease, pointer)
        self._uncommitted = None

    async def _settle_saving(self) -> None:
        if self._saving is not None:
            await asyncio.shield(self._saving)
            self._saving = None

    async def _delete_checkpoints(self) -> None:
        await self.close()  # a late write would bring the folder back
        await self._checkpoints.delete_all(self.video.name)

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
