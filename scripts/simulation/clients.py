"""Simulated callers of the gateway, and what the gateway does of itself."""

from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from simulation.process import Behaviour, Call, Request, Sleep
from simulation.simulated_store import SimulatedLibrary
from telecine.errors import NotFoundError, QueueFullError, StoreUnavailableError, VideoStateError
from telecine.jobs.call_batcher import Argument
from telecine.jobs.events import moved_event
from telecine.jobs.job_types import Submission
from telecine.jobs.transitions import ENDED_STATES
from telecine.v1 import video_pb2

_MICROCREDITS_PER_UNIT = 777

Answer: TypeAlias = Generator[Request, Any, Any]
Tier: TypeAlias = video_pb2.Tier.ValueType


@dataclass(frozen=True)
class VideoPlan:
    """One video, and what its owner will do with it.

    Attributes:
        step_units: size of a step; the prompt carries it to the simulated worker.
        arrival: when it is asked for, in seconds.
        cancel_after: seconds after it was taken; None for never. So for pause_after, which needs
            a request id: else a new life of the owner would not find the video again.
        is_deleted: whether its owner removes it when it has ended.
        is_watched: whether its owner looks at it now and then until it has ended.
    """

    tenant: str
    tier: Tier
    model: str
    num_steps: int
    step_units: float
    arrival: float
    request_id: str = ""
    memory_bytes: int = 0
    start_within_seconds: float | None = None
    cancel_after: float | None = None
    pause_after: float | None = None
    is_deleted: bool = False
    is_watched: bool = True

    def submission(self) -> Submission:
        """Returns what the gateway would submit."""
        spec = video_pb2.VideoSpec(
            model=f"models/{self.model}",
            prompt=repr(self.step_units),
            num_inference_steps=self.num_steps,
            tier=self.tier,
        )
        return Submission(
            spec=spec,
            num_frames=33,
            num_steps=self.num_steps,
            tenant=self.tenant,
            request_id=self.request_id,
            fingerprint=spec.SerializeToString(deterministic=True),
            model_version="1",
            model_digest="sha256:00",
            expanded_prompt="",
            warnings=(),
            step_units=self.step_units,
            memory_bytes=self.memory_bytes,
            start_within_seconds=self.start_within_seconds,
            price_microcredits=round(self.step_units * self.num_steps * _MICROCREDITS_PER_UNIT),
        )


class VideoOwner:
    """Asks for one video and looks after it to its end; started anew it goes on by request id."""

    def __init__(self, plan: VideoPlan, random: Random, finished: Callable[[], None]) -> None:
        self._plan = plan
        self._random = random
        self._finished = finished

    def behave(self, *, is_restarted: bool = False) -> Behaviour:
        """Lives through the plan."""
        if not is_restarted:
            yield Sleep(self._plan.arrival)
        if not is_restarted or self._plan.request_id:
            yield from self._look_after()
        self._finished()

    def _look_after(self) -> Answer:
        video = yield from self._submit()
        if video is None:
            return
        name = video.name
        if self._plan.cancel_after is not None:
            yield Sleep(self._plan.cancel_after)
            yield from self._call("cancel", lambda store: store.cancel(name))
        elif self._plan.pause_after is not None and self._plan.request_id:
            yield Sleep(self._plan.pause_after)
            yield from self._call("pause", lambda store: store.pause(name))
            yield Sleep(self._random.uniform(1, 40))
            yield from self._call("resume", lambda store: store.resume(name))
        while self._plan.is_watched and not _is_ended(video):
            yield Sleep(self._random.uniform(10, 40))
            video = yield from self._call("get", lambda store: store.get(name))
        if self._plan.is_deleted:
            yield from self._call("delete", lambda store: store.delete(name))

    def _submit(self) -> Answer:
        submission = self._plan.submission()
        video = None
        for _ in range(1 + (bool(self._plan.request_id) and self._random.random() < 0.3)):
            while True:
                try:
                    video = yield from self._call(
                        "submit", lambda store: store.submit(submission), plan=self._plan
                    )
                    break
                except QueueFullError as full:
                    yield Sleep(full.retry_seconds)
        return video

    def _call(self, function: str, make: Any, **facts: Any) -> Answer:
        while True:
            try:
                return (yield Call(function, make, None, facts))
            except StoreUnavailableError:
                yield Sleep(self._random.uniform(0.2, 1.0))
            except (NotFoundError, VideoStateError):
                return None  # it has ended, or another life of this owner has removed it


def _is_ended(video: video_pb2.Video | None) -> bool:
    if video is None:
        return True
    return video_pb2.Video.State.Name(video.state).removeprefix("STATE_") in ENDED_STATES


def gateway(
    library: SimulatedLibrary, waiting: Callable[[], list[str]], random: Random
) -> Behaviour:
    """Ends what was not started in time, tells watchers their places, lists."""
    while True:
        yield Sleep(random.uniform(2, 10))
        listed: dict[str, Argument] = {"videos": ",".join(waiting())}
        told: dict[str, Argument] = {**listed, "moved_event": moved_event()}
        try:
            yield Call("expire_deadlines", lambda store: store.expire_deadlines())
            yield _direct_call(library.call, "announce_positions", told)
            yield _direct_call(library.read, "get_many", listed)
        except StoreUnavailableError:
            continue


def _direct_call(
    make: Callable[[str, Mapping[str, Argument]], Coroutine[Any, Any, Any]],
    function: str,
    arguments: Mapping[str, Argument],
) -> Call:
    return Call(function, lambda _: make(function, arguments))
