"""What this worker is doing, told to whoever looks, and what it is told in return: to drain."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

import telecine
from telecine.errors import StoreUnavailableError
from telecine.jobs.job_types import Assignment
from telecine.jobs.worker_directory import WorkerDirectory
from telecine.v1 import worker_pb2
from telecine.worker.gpu_turn import GpuTurn
from telecine.worker.worker_state import WorkerState, WorkerStateHolder

_log = structlog.get_logger(__name__)
_PERIOD_SECONDS = 1.0
# A worker that died is missed after this long.
_TTL_SECONDS = 3.0
# Changes closer together than this are told as one: a step of a few milliseconds is no news.
_LEAST_SECONDS = 0.05
_LAST_WORD_SECONDS = 1.0


@dataclass(frozen=True)
class WorkerOptions:
    """What a worker is.

    Attributes:
        models: tells the models that it serves, ids such as `toybox`.
        memory_bytes: device memory that it may fill; 0 where nobody said.
    """

    worker_id: str
    models: Callable[[], Sequence[str]]
    memory_bytes: int = 0


class HeldAssignment:
    """One video that this worker holds, in one of its lanes."""

    def __init__(
        self, assignment: Assignment, turn: GpuTurn, *, on_change: Callable[[], None]
    ) -> None:
        turn.on_end = on_change
        self._turn = turn
        self.state = WorkerStateHolder(self._note)
        self._log = _log.bind(video=assignment.video.name, token=assignment.lease.token)
        self._video = assignment.video
        self._claim_time = Timestamp()
        self._claim_time.GetCurrentTime()
        self._on_change = on_change

    @property
    def is_on_gpu(self) -> bool:
        """Whether it is the one in the GPU lane."""
        return not self._turn.is_over

    def describe(self) -> worker_pb2.Worker.Assignment:
        """Returns what is published of it."""
        return worker_pb2.Worker.Assignment(
            video=self._video.name,
            state=self.state.state.to_proto(),
            step_index=self.state.step_index,
            num_inference_steps=self._video.num_steps,
            claim_time=self._claim_time,
        )

    def _note(self, state: WorkerState) -> None:
        self._log.debug("worker_state", state=state.value, step_index=self.state.step_index)
        self._on_change()


class WorkerManager:
    """Keeps the state of every assignment of both lanes, and publishes it as it changes.

    Args:
        directory: where it is published.
        options: what this worker is.
        draining: set when the worker is told to drain; whoever else sets it, a signal say,
            means the same.
        is_ready: whether the model server answers: only then does the worker count as serving.
        loaded_models: those of its models that its model server has loaded.
    """

    def __init__(
        self,
        directory: WorkerDirectory,
        options: WorkerOptions,
        *,
        draining: asyncio.Event,
        is_ready: Callable[[], bool],
        loaded_models: Callable[[], Sequence[str]],
    ) -> None:
        self._directory = directory
        self._options = options
        self._draining = draining
        self._is_ready = is_ready
        self._loaded_models = loaded_models
        self._held: list[HeldAssignment] = []
        self._changed = asyncio.Event()
        self._start_time = Timestamp()
        self._start_time.GetCurrentTime()

    def begin(self, assignment: Assignment, turn: GpuTurn) -> HeldAssignment:
        """Takes a claimed video on; it is in the GPU lane until its turn there is over."""
        held = HeldAssignment(assignment, turn, on_change=self._changed.set)
        self._held.append(held)
        self._changed.set()
        return held

    def end(self, held: HeldAssignment) -> None:
        """The video is no longer this worker's, however it ended."""
        held.state.hand_back()
        self._held.remove(held)
        self._changed.set()

    def describe(self) -> worker_pb2.Worker:
        """Returns the worker as it is now; its state is that of the GPU lane."""
        held = sorted(self._held, key=lambda assignment: not assignment.is_on_gpu)
        on_gpu = [assignment.state.state for assignment in held if assignment.is_on_gpu]
        return worker_pb2.Worker(
            name=f"workers/{self._options.worker_id}",
            state=(on_gpu[0] if on_gpu else WorkerState.IDLE).to_proto(),
            is_draining=self._draining.is_set(),
            assignments=[assignment.describe() for assignment in held],
            models=[f"models/{model}" for model in self._options.models()],
            loaded_models=[f"models/{model}" for model in sorted(self._loaded_models())],
            memory_bytes=self._options.memory_bytes,
            start_time=self._start_time,
            version=telecine.__version__,
        )

    async def run(self) -> None:
        """Publishes every change, and now and then that the worker lives, until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self._publish(ttl_seconds=_TTL_SECONDS)
            except StoreUnavailableError as error:
                _log.warning("not_published", error=str(error))
            await asyncio.sleep(_LEAST_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_SECONDS):
                    await self._changed.wait()

    async def leave(self) -> None:
        """Says that the worker is gone, so that nobody has to find out."""
        try:
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._publish(ttl_seconds=0.0)
        except (StoreUnavailableError, TimeoutError) as error:
            _log.warning("not_published", error=str(error))

    async def _publish(self, *, ttl_seconds: float) -> None:
        is_told_to_drain = await self._directory.publish(
            self.describe(),
            ttl_seconds=ttl_seconds,
            is_serving=self._is_ready() and not self._draining.is_set(),
        )
        if is_told_to_drain and not self._draining.is_set():
            _log.info("drain_requested", worker_id=self._options.worker_id)
            self._draining.set()
            self._changed.set()
