"""What a worker does with one video, and what may follow what."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from telecine.v1 import worker_pb2


class WorkerState(StrEnum):
    """A worker's states, those of telecine.v1.Worker.State, as a video meets them."""

    IDLE = "IDLE"
    LOADING = "LOADING"
    READY = "READY"
    INITIALIZING = "INITIALIZING"
    GENERATING = "GENERATING"
    CHECKPOINTING = "CHECKPOINTING"
    DECODING = "DECODING"
    AUDIO_SYNC = "AUDIO_SYNC"
    SAFETY_CHECK = "SAFETY_CHECK"
    UPLOADING = "UPLOADING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    RECOVERING = "RECOVERING"

    def to_proto(self) -> worker_pb2.Worker.State.ValueType:
        """Returns the state as it is published."""
        return worker_pb2.Worker.State.Value(f"STATE_{self}")


_S = WorkerState

TRANSITIONS: Mapping[WorkerState, frozenset[WorkerState]] = {
    _S.IDLE: frozenset({_S.LOADING}),
    _S.LOADING: frozenset({_S.READY, _S.RECOVERING, _S.FAILED, _S.IDLE}),
    _S.READY: frozenset({_S.INITIALIZING, _S.FAILED}),
    _S.INITIALIZING: frozenset({_S.GENERATING, _S.RECOVERING, _S.FAILED}),
    _S.GENERATING: frozenset({_S.CHECKPOINTING, _S.DECODING, _S.RECOVERING, _S.FAILED}),
    _S.CHECKPOINTING: frozenset({_S.GENERATING, _S.FAILED}),
    # A video without sound goes on without that state, and one whose output nobody checks goes
    # straight to the store; one that is made chunk by chunk goes on with the next.
    _S.DECODING: frozenset({_S.GENERATING, _S.AUDIO_SYNC, _S.UPLOADING, _S.RECOVERING, _S.FAILED}),
    _S.AUDIO_SYNC: frozenset({_S.SAFETY_CHECK, _S.UPLOADING, _S.RECOVERING, _S.FAILED}),
    _S.SAFETY_CHECK: frozenset({_S.UPLOADING, _S.FAILED}),
    _S.UPLOADING: frozenset({_S.COMPLETE, _S.FAILED}),
    _S.COMPLETE: frozenset({_S.IDLE}),
    _S.FAILED: frozenset({_S.IDLE}),
    # The model server may go away at any use of it, and the work goes on where it was. Files of
    # an attempt whose end was lost need no more work.
    _S.RECOVERING: frozenset(
        {
            _S.LOADING,
            _S.INITIALIZING,
            _S.GENERATING,
            _S.DECODING,
            _S.AUDIO_SYNC,
            _S.UPLOADING,
            _S.FAILED,
        }
    ),
}
"""The states that may follow each state; `hand_back` leads to IDLE from any."""


class WorkerStateHolder:
    """How far one assignment is; tells `on_change` every state entered and step done."""

    def __init__(self, on_change: Callable[[WorkerState], None] = lambda _: None) -> None:
        self._state = WorkerState.IDLE
        self._step_index = 0
        self._on_change = on_change

    @property
    def state(self) -> WorkerState:
        """The state now."""
        return self._state

    @property
    def step_index(self) -> int:
        """Denoising steps done."""
        return self._step_index

    def finish_step(self, step_index: int) -> None:
        """Notes that so many steps are done: one more, or what a checkpoint holds."""
        if step_index != self._step_index:
            self._step_index = step_index
            self._on_change(self._state)

    def enter(self, state: WorkerState) -> None:
        """Enters `state`; entering the present state again changes nothing.

        Raises:
            ValueError: `state` may not follow the present one.
        """
        if state == self._state:
            return
        if state not in TRANSITIONS[self._state]:
            raise ValueError(f"{state} may not follow {self._state}")
        self._set(state)

    def hand_back(self) -> None:
        """The assignment ended here, whatever it was at: cancelled, drained or lost."""
        if self._state != WorkerState.IDLE:
            self._set(WorkerState.IDLE)

    def _set(self, state: WorkerState) -> None:
        self._state = state
        self._on_change(state)
