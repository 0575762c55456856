"""Any order of calls, by holders of leases and by those who lost them, against a plain model."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from submissions import claim, make_step, make_submission

from telecine.errors import LeaseLostError, NotFoundError, VideoStateError
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import MAX_LOST_LEASES, JobStore
from telecine.jobs.job_types import CheckpointPointer, Lease
from telecine.jobs.keys import queue_key
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.jobs.transitions import ENDED_STATES, TRANSITIONS
from telecine.v1 import video_pb2

T = TypeVar("T")
FAILURE = video_pb2.Failure(reason="MODEL_FAILED")
STEPS = st.integers(1, 20)


Call = Callable[[JobStore, Lease], Coroutine[Any, Any, Any]]
ENDINGS: dict[str, tuple[Call, str]] = {
    "complete": (lambda store, lease: store.complete(lease, []), "SUCCEEDED"),
    "fail": (lambda store, lease: store.fail(lease, FAILURE), "FAILED"),
    "acknowledge_cancel": (lambda store, lease: store.acknowledge_cancel(lease), "CANCELLED"),
}
WRITES: dict[str, Call] = {
    **{name: call for name, (call, _) in ENDINGS.items()},
    "requeue": lambda store, lease: store.requeue(lease, reason="LATE"),
    "heartbeat": lambda store, lease: store.heartbeat(lease),
    "finish_step": lambda store, lease: store.finish_step(lease, make_step(19)),
    "commit_checkpoint": lambda store, lease: store.commit_checkpoint(lease, pointer(19)),
}


def pointer(step_index: int) -> CheckpointPointer:
    return CheckpointPointer(f"k{step_index}", step_index, "sha256:0", 1)


@dataclass
class Expected:
    """What a video should be."""

    tenant: str
    states: list[str] = field(default_factory=lambda: ["QUEUED"])
    token: int = 0
    attempt: int = 0
    step_index: int = 0
    checkpoints: list[int] = field(default_factory=list)
    num_lost: int = 0
    is_cancel_requested: bool = False
    last_ending: tuple[str, int] = ("", 0)

    @property
    def state(self) -> str:
        return self.states[-1]


class JobStoreMachine(RuleBasedStateMachine):
    """Makes calls in any order, and keeps what each video should have become."""

    def __init__(self, url: str) -> None:
        super().__init__()
        with redis.Redis.from_url(url) as client:
            client.flushall()
        self.runner = asyncio.Runner()
        self.client = connect_redis(url)
        self.store = JobStore(self.client)
        self.log = EventLog(self.client)
        self.videos: dict[str, Expected] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.newest_token = 0
        self.held: list[Lease] = []
        self.lost: list[Lease] = []

    def teardown(self) -> None:
        self.run(self.client.aclose())
        self.runner.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def names_in(self, *states: str) -> list[str]:
        return [name for name, video in self.videos.items() if video.state in states]

    def draw_held(self, data: st.DataObject) -> tuple[Lease, Expected]:
        lease = data.draw(st.sampled_from(self.held))
        return lease, self.videos[lease.video_name]

    def release(self, lease: Lease, video: Expected, state: str) -> None:
        self.held.remove(lease)
        self.lost.append(lease)
        video.states.append(state)
        if state == "QUEUED":
            video.step_index = video.checkpoints[0] if video.checkpoints else 0

    @rule(tenant=st.sampled_from(["alice", "bob"]), request_id=st.sampled_from(["", "r1", "r2"]))
    def submit(self, tenant: str, request_id: str) -> None:
        name = self.run(self.store.submit(make_submission(tenant, request_id=request_id))).name
        known = self.requests.get((tenant, request_id))
        if known is not None:
            assert name == known
            return
        assert name not in self.videos
        self.videos[name] = Expected(tenant)
        if request_id:
            self.requests[tenant, request_id] = name

    @precondition(lambda self: self.names_in("QUEUED"))
    @rule()
    def claim(self) -> None:
        assignment = self.run(claim(self.store, lease_seconds=600))
        assert assignment is not None
        lease, video = assignment.lease, self.videos[assignment.lease.video_name]
        flow = [
            name for name in self.names_in("QUEUED") if self.videos[name].tenant == video.tenant
        ]
        assert lease.video_name == flow[0]
        assert lease.token > self.newest_token
        self.newest_token = video.token = lease.token
        video.states.append("RUNNING")
        video.attempt += 1
        assert [pointer.step_index for pointer in assignment.checkpoints] == video.checkpoints
        self.held.append(lease)

    @precondition(lambda self: not self.names_in("QUEUED"))
    @rule()
    def claim_from_empty_queue(self) -> None:
        assert self.run(claim(self.store, lease_seconds=600)) is None

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step_index=STEPS)
    def finish_step(self, data: st.DataObject, step_index: int) -> None:
        lease, video = self.draw_held(data)
        directive = self.run(self.store.finish_step(lease, make_step(step_index)))
        assert directive.is_cancelled == video.is_cancel_requested
        video.step_index = step_index

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step_index=STEPS)
    def commit_checkpoint(self, data: st.DataObject, step_index: int) -> None:
        lease, video = self.draw_held(data)
        self.run(self.store.commit_checkpoint(lease, pointer(step_index)))
        older = [step for step in video.checkpoints if step != step_index]
        video.checkpoints = [step_index, *older][:3]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(list(ENDINGS)))
    def end(self, data: st.DataObject, ending: str) -> None:
        lease, video = self.draw_held(data)
        call, state = ENDINGS[ending]
        self.run(call(self.store, lease))
        self.release(lease, video, state)
        video.last_ending = (ending, lease.token)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        lease, video = self.draw_held(data)
        self.run(self.store.requeue(lease, reason="DRAINING"))
        self.release(lease, video, "CANCELLED" if video.is_cancel_requested else "QUEUED")
        video.last_ending = ("requeue", lease.token)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lose_lease(self, data: st.DataObject) -> None:
        lease, video = self.draw_held(data)
        self.run(self.store.heartbeat(replace(lease, lease_seconds=0.0)))
        assert self.run(self.store.expire_leases()) == 1
        video.num_lost += 1
        if video.is_cancel_requested:
            self.release(lease, video, "CANCELLED")
        else:
            self.release(lease, video, "QUEUED" if video.num_lost < MAX_LOST_LEASES else "FAILED")

    @precondition(lambda self: self.lost)
    @rule(data=st.data(), function=st.sampled_from(list(WRITES)))
    def write_late(self, data: st.DataObject, function: str) -> None:
        # The newest of them: its video may be held by another by now.
        lease = data.draw(st.sampled_from(self.lost[-3:]))
        video = self.videos.get(lease.video_name)
        if video is not None and video.last_ending == (function, lease.token):
            self.run(WRITES[function](self.store, lease))  # a lost answer: the same, no change
            return
        with pytest.raises(LeaseLostError):
            self.run(WRITES[function](self.store, lease))

    @precondition(lambda self: self.videos)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.videos)))
        video = self.videos[name]
        self.run(self.store.cancel(name))
        if video.state == "QUEUED":
            video.states.append("CANCELLED")
        elif video.state == "RUNNING":
            video.is_cancel_requested = True

    @precondition(lambda self: self.videos)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.videos)))
        if self.videos[name].state not in ENDED_STATES:
            with pytest.raises(VideoStateError):
                self.run(self.store.delete(name))
            return
        self.run(self.store.delete(name))
        del self.videos[name]
        self.requests = {key: used for key, used in self.requests.items() if used != name}
        with pytest.raises(NotFoundError):
            self.run(self.store.get(name))

    @invariant()
    def every_video_is_what_it_should_be(self) -> None:
        for name, expected in self.videos.items():
            video = self.run(self.store.get(name))
            assert video_pb2.Video.State.Name(video.state) == f"STATE_{expected.state}"
            assert video.attempt == expected.attempt
            assert video.step_index == expected.step_index

    @invariant()
    def every_change_of_state_is_logged_once_and_is_in_the_table(self) -> None:
        allowed = {(transition.source, transition.target) for transition in TRANSITIONS}
        for name, expected in self.videos.items():
            assert set(zip(expected.states, expected.states[1:], strict=False)) <= allowed
            events = self.run(self.log.read(name, limit=10_000))
            logged = [e.state_changed.state for e in events if e.HasField("state_changed")]
            assert logged == [video_pb2.Video.State.Value(f"STATE_{s}") for s in expected.states]

    @invariant()
    def counters_agree_with_the_videos(self) -> None:
        counters: dict[bytes, bytes] = self.run(self.client.hgetall(queue_key("0")))
        for state in ("QUEUED", "RUNNING", *ENDED_STATES):
            count = int(counters.get(f"num_{state}".encode(), 0))
            assert count == len(self.names_in(state))


def test_any_order_of_calls_leaves_every_video_as_it_should_be(server: RedisServer) -> None:
    run_state_machine_as_test(
        lambda: JobStoreMachine(server.url),
        settings=settings(
            max_examples=40,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
