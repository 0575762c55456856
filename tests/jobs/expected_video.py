"""What a video should have become, and the calls of its holders by name."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from submissions import NUM_STEPS, end_slice, make_pointer, make_step

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Lease, Verdict
from telecine.v1 import video_pb2

FAILURE = video_pb2.Failure(reason="MODEL_FAILED")
PRICE = 4711
Call = Callable[[JobStore, Lease], Coroutine[Any, Any, Any]]
Ending = Callable[[JobStore, Lease, float], Coroutine[Any, Any, Any]]
ENDINGS: dict[str, tuple[Ending, str]] = {
    "complete": (
        lambda store, lease, seconds: store.complete(lease, [], gpu_seconds=seconds),
        "SUCCEEDED",
    ),
    "fail": (lambda store, lease, _: store.fail(lease, FAILURE), "FAILED"),
    "acknowledge_cancel": (
        lambda store, lease, seconds: store.acknowledge_cancel(lease, gpu_seconds=seconds),
        "CANCELLED",
    ),
}
RETURNS: dict[str, Call] = {
    "requeue": lambda store, lease: store.requeue(lease, reason="DRAINING"),
    "acknowledge_pause": lambda store, lease: store.acknowledge_pause(lease),
}
WRITES: dict[str, Call] = {
    "complete": lambda store, lease: store.complete(lease, []),
    "fail": lambda store, lease: store.fail(lease, FAILURE),
    "acknowledge_cancel": lambda store, lease: store.acknowledge_cancel(lease),
    **RETURNS,
    "heartbeat": lambda store, lease: store.heartbeat(lease),
    "finish_step": lambda store, lease: store.finish_step(lease, make_step(19)),
    "finish_slice": lambda store, lease: end_slice(store, lease, 19),
    "commit_checkpoint": lambda store, lease: store.commit_checkpoint(lease, make_pointer(19)),
}


@dataclass
class ExpectedVideo:
    """What a video should be."""

    tenant: str
    states: list[str] = field(default_factory=lambda: ["QUEUED"])
    token: int = 0
    attempt: int = 0
    step_index: int = 0
    checkpoints: list[int] = field(default_factory=list)
    num_lost: int = 0
    is_cancel_requested: bool = False
    is_pause_requested: bool = False
    has_deadline: bool = False
    charged_step: int = 0
    slice_start: int = 0
    last_slice: tuple[int, Verdict] | None = None
    last_ending: tuple[str, int] = ("", 0)

    @property
    def charge(self) -> int:
        """What it costs by how it ended; what it holds until then."""
        match self.state:
            case "FAILED":
                return 0
            case "CANCELLED":
                return PRICE * self.step_index // NUM_STEPS
            case _:
                return PRICE

    @property
    def state(self) -> str:
        return self.states[-1]
