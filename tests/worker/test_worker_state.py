"""The worker's states against the seed's diagram."""

import pytest

from telecine.v1 import worker_pb2
from telecine.worker.worker_state import TRANSITIONS, WorkerState, WorkerStateHolder

S = WorkerState

DESIGNED = [
    (S.IDLE, S.LOADING),
    (S.LOADING, S.READY),
    (S.LOADING, S.IDLE),
    (S.READY, S.INITIALIZING),
    (S.INITIALIZING, S.GENERATING),
    (S.GENERATING, S.CHECKPOINTING),
    (S.CHECKPOINTING, S.GENERATING),
    (S.GENERATING, S.DECODING),
    (S.DECODING, S.AUDIO_SYNC),
    (S.AUDIO_SYNC, S.SAFETY_CHECK),
    (S.SAFETY_CHECK, S.UPLOADING),
    (S.SAFETY_CHECK, S.FAILED),
    (S.UPLOADING, S.COMPLETE),
    (S.UPLOADING, S.FAILED),
    (S.COMPLETE, S.IDLE),
    (S.FAILED, S.IDLE),
    (S.GENERATING, S.RECOVERING),
    (S.RECOVERING, S.GENERATING),
    (S.RECOVERING, S.FAILED),
]


@pytest.mark.parametrize(("before", "after"), DESIGNED)
def test_every_arrow_of_the_design_is_allowed(before: WorkerState, after: WorkerState) -> None:
    assert after in TRANSITIONS[before]


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(WorkerState)


def test_the_states_are_those_of_the_contract() -> None:
    published = {state.to_proto() for state in WorkerState}
    assert published == set(worker_pb2.Worker.State.values()) - {
        worker_pb2.Worker.STATE_UNSPECIFIED
    }


def test_a_state_that_may_not_follow_is_refused() -> None:
    with pytest.raises(ValueError, match="DECODING may not follow IDLE"):
        WorkerStateHolder().enter(S.DECODING)


def test_each_change_is_told_once() -> None:
    told: list[WorkerState] = []
    holder = WorkerStateHolder(told.append)
    holder.enter(S.LOADING)
    holder.enter(S.LOADING)
    holder.hand_back()
    holder.hand_back()
    assert told == [S.LOADING, S.IDLE]
    assert holder.state == S.IDLE


def test_each_step_is_told_once() -> None:
    told: list[int] = []
    holder = WorkerStateHolder(lambda _: told.append(holder.step_index))
    holder.finish_step(1)
    holder.finish_step(1)
    assert told == [1]
