"""Any order of calls, by holders of leases and by those who lost them, against a plain model."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
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
from submissions import (
    CAPABILITY,
    NUM_STEPS,
    SLICE_STEPS,
    make_pointer,
    make_step,
    make_submission,
)

from telecine.errors import LeaseLostError, NotFoundError, QueueFullError, VideoStateError
from telecine.jobs.account_store import AccountStore
from telecine.jobs.event_log import EventLog
from telecine.jobs.job_store import MAX_LOST_LEASES, JobStore
from telecine.jobs.job_types import Assignment, Lease, QueueLimits, SliceReport, Verdict
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.jobs.transitions import ENDED_STATES, TRANSITIONS
from telecine.v1 import video_pb2

from .balances import require_credits
from .expected_video import ENDINGS, PRICE, RETURNS, WRITES, ExpectedVideo
from .ledger import charged_seconds, open_charge, read_hash, virtual_times

T = TypeVar("T")
STEPS = st.integers(1, 20)
SECONDS = st.sampled_from([0.0, 0.5, 2.0, 8.0])
TENANTS = ("alice", "bob")
LIMITS = QueueLimits(max_queued=8, max_queued_per_tenant=5, max_running_per_tenant=2)


class JobStoreMachine(RuleBasedStateMachine):
    """Makes calls in any order, and keeps what each video should have become."""

    def __init__(self, url: str) -> None:
        super().__init__()
        with redis.Redis.from_url(url) as client:
            client.flushall()
        self.runner = asyncio.Runner()
        self.client = connect_redis(url)
        self.store = JobStore(self.client, limits=LIMITS, quantum_seconds=1.0)
        self.log = EventLog(self.client)
        self.accounts = AccountStore(self.client)
        self.videos: dict[str, ExpectedVideo] = {}
        self.requests: dict[tuple[str, str], str] = {}
        self.newest_token = 0
        self.num_claims = 0
        self.deleted: list[ExpectedVideo] = []
        self.used = dict.fromkeys(TENANTS, 0.0)
        self.virtual_times: dict[str, float] = {}
        self.held: list[Lease] = []
        self.lost: list[Lease] = []

    def teardown(self) -> None:
        self.run(self.client.aclose())
        self.runner.close()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def names_in(self, *states: str) -> list[str]:
        return [name for name, video in self.videos.items() if video.state in states]

    def draw_held(self, data: st.DataObject) -> tuple[Lease, ExpectedVideo]:
        lease = data.draw(st.sampled_from(self.held))
        return lease, self.videos[lease.video_name]

    def release(self, lease: Lease, video: ExpectedVideo, state: str) -> None:
        self.held.remove(lease)
        self.lost.append(lease)
        video.states.append(state)
        video.last_slice = None
        if state in {"QUEUED", "PAUSED"}:
            video.step_index = video.checkpoints[0] if video.checkpoints else 0
        if state == "PAUSED":
            video.is_pause_requested = False

    def state_after_return(self, video: ExpectedVideo) -> str:
        if video.is_cancel_requested:
            return "CANCELLED"
        return "PAUSED" if video.is_pause_requested else "QUEUED"

    def is_held(self, tenant: str) -> bool:
        running = [name for name in self.names_in("RUNNING") if self.videos[name].tenant == tenant]
        return len(running) >= LIMITS.max_running_per_tenant

    def claimable(self) -> list[str]:
        return [
            name for name in self.names_in("QUEUED") if not self.is_held(self.videos[name].tenant)
        ]

    @rule(
        tenant=st.sampled_from(TENANTS),
        request_id=st.sampled_from(["", "", "r1", "r2"]),
        deadline=st.sampled_from([None, None, 60.0, 1e-6]),
    )
    def submit(self, tenant: str, request_id: str, deadline: float | None) -> None:
        submission = make_submission(
            tenant, request_id=request_id, start_within_seconds=deadline, price=PRICE
        )
        known = self.requests.get((tenant, request_id))
        queued = self.names_in("QUEUED")
        of_tenant = [name for name in queued if self.videos[name].tenant == tenant]
        if known is None and (
            len(queued) >= LIMITS.max_queued or len(of_tenant) >= LIMITS.max_queued_per_tenant
        ):
            with pytest.raises(QueueFullError):
                self.run(self.store.submit(submission))
            return
        name = self.run(self.store.submit(submission)).name
        if known is not None:
            assert name == known
            return
        assert name not in self.videos
        self.videos[name] = ExpectedVideo(tenant, has_deadline=deadline == 1e-6)
        if request_id:
            self.requests[tenant, request_id] = name

    @rule(is_repeated=st.booleans())
    def claim(self, *, is_repeated: bool) -> None:
        self.num_claims += 1
        assignment = self.claim_once()
        for name in self.claimable():
            # Whatever is overdue and would have been claimed has ended instead.
            if self.run(self.store.get(name)).state == video_pb2.Video.STATE_FAILED:
                assert self.videos[name].has_deadline
                self.videos[name].states.append("FAILED")
        if assignment is None:
            assert not self.claimable()
            return
        if is_repeated:
            assert self.claim_once() == assignment
        self.start(assignment)

    def claim_once(self) -> Assignment | None:
        return self.run(
            self.store.claim(
                "w",
                capability=CAPABILITY,
                slice_steps=SLICE_STEPS,
                lease_seconds=600,
                claim_id=f"claim-{self.num_claims}",
            )
        )

    def start(self, assignment: Assignment) -> None:
        lease, video = assignment.lease, self.videos[assignment.lease.video_name]
        assert lease.video_name in self.claimable()
        flow = [name for name in self.claimable() if self.videos[name].tenant == video.tenant]
        assert lease.video_name == flow[0]
        assert lease.token > self.newest_token
        self.newest_token = video.token = lease.token
        video.states.append("RUNNING")
        video.attempt += 1
        video.has_deadline = False
        assert [pointer.step_index for pointer in assignment.checkpoints] == video.checkpoints
        video.slice_start = video.checkpoints[0] if video.checkpoints else 0
        self.held.append(lease)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step_index=STEPS)
    def finish_step(self, data: st.DataObject, step_index: int) -> None:
        lease, video = self.draw_held(data)
        directive = self.run(self.store.finish_step(lease, make_step(step_index)))
        assert directive.is_cancelled == video.is_cancel_requested
        assert directive.is_pause_requested == video.is_pause_requested
        video.step_index = step_index

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(), num_steps=st.integers(1, 6), seconds=SECONDS, has_checkpoint=st.booleans()
    )
    def finish_slice(
        self, data: st.DataObject, num_steps: int, seconds: float, *, has_checkpoint: bool
    ) -> None:
        lease, video = self.draw_held(data)
        step_index = video.slice_start + num_steps
        report = SliceReport(
            step_index, num_steps, seconds, make_pointer(step_index) if has_checkpoint else None
        )
        verdict = self.tell(lease, report)
        if video.is_cancel_requested:
            assert verdict is Verdict.CANCEL
        elif video.is_pause_requested:
            assert verdict is Verdict.PAUSE
        else:
            others = [n for n in self.claimable() if self.videos[n].tenant != video.tenant]
            can_yield = has_checkpoint and others and step_index < NUM_STEPS
            assert verdict is Verdict.CONTINUE or (verdict is Verdict.YIELD and can_yield)
        fresh = max(0, step_index - max(video.slice_start, video.charged_step))
        self.used[video.tenant] += seconds * fresh / num_steps
        video.charged_step = max(video.charged_step, step_index)
        video.slice_start = video.step_index = step_index
        video.num_lost = 0
        video.last_slice = (step_index, verdict)
        if has_checkpoint:
            video.checkpoints = [step_index, *video.checkpoints][:3]

    def tell(self, lease: Lease, report: SliceReport) -> Verdict:
        return self.run(
            self.store.finish_slice(lease, report, capability=CAPABILITY, slice_steps=SLICE_STEPS)
        )

    @precondition(lambda self: any(self.videos[held.video_name].last_slice for held in self.held))
    @rule(data=st.data(), seconds=SECONDS)
    def repeat_slice(self, data: st.DataObject, seconds: float) -> None:
        done = [held for held in self.held if self.videos[held.video_name].last_slice]
        lease = data.draw(st.sampled_from(done))
        last_slice = self.videos[lease.video_name].last_slice
        assert last_slice is not None
        step_index, verdict = last_slice
        assert self.tell(lease, SliceReport(step_index, 0, seconds, None)) is verdict

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ending=st.sampled_from(list(ENDINGS)), seconds=SECONDS)
    def end(self, data: st.DataObject, ending: str, seconds: float) -> None:
        lease, video = self.draw_held(data)
        call, state = ENDINGS[ending]
        self.run(call(self.store, lease, seconds))
        self.release(lease, video, state)
        video.last_ending = (ending, lease.token)
        if ending != "fail":
            self.used[video.tenant] += seconds

    @precondition(lambda self: self.held)
    @rule(data=st.data(), how=st.sampled_from(list(RETURNS)))
    def give_back(self, data: st.DataObject, how: str) -> None:
        lease, video = self.draw_held(data)
        self.run(RETURNS[how](self.store, lease))
        self.release(lease, video, self.state_after_return(video))
        video.last_ending = (how, lease.token)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), is_own_fault=st.booleans())
    def lose_lease(self, data: st.DataObject, *, is_own_fault: bool) -> None:
        lease, video = self.draw_held(data)
        if is_own_fault:
            self.run(self.store.requeue(lease, reason="BROKE_IT", counts_as_loss=True))
            video.last_ending = ("requeue", lease.token)
        else:
            self.run(self.store.heartbeat(replace(lease, lease_seconds=0.0)))
            assert self.run(self.store.expire_leases()) == 1
        video.num_lost += 1
        is_abandoned = video.num_lost >= MAX_LOST_LEASES and not video.is_cancel_requested
        self.release(lease, video, "FAILED" if is_abandoned else self.state_after_return(video))

    @precondition(lambda self: self.videos)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.videos)))
        video = self.videos[name]
        if video.state in ENDED_STATES:
            with pytest.raises(VideoStateError):
                self.run(self.store.pause(name))
            return
        self.run(self.store.pause(name))
        if video.state == "QUEUED":
            video.states.append("PAUSED")
        elif video.state == "RUNNING":
            video.is_pause_requested = True

    @precondition(lambda self: self.videos)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.videos)))
        video = self.videos[name]
        if video.state in ENDED_STATES:
            with pytest.raises(VideoStateError):
                self.run(self.store.resume(name))
            return
        self.run(self.store.resume(name))
        if video.state == "PAUSED":
            video.states.append("QUEUED")
        video.is_pause_requested = False

    @rule()
    def expire_deadlines(self) -> None:
        overdue = [name for name in self.names_in("QUEUED") if self.videos[name].has_deadline]
        assert self.run(self.store.expire_deadlines()) == len(overdue)
        for name in overdue:
            self.videos[name].states.append("FAILED")

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
        if video.state in {"QUEUED", "PAUSED"}:
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
        self.deleted.append(self.videos.pop(name))
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
        counters = self.run(read_hash(self.client, ""))
        for state in ("QUEUED", "RUNNING", "PAUSED", *ENDED_STATES):
            assert int(counters.get(f"num_{state}", 0)) == len(self.names_in(state))
        for tenant in TENANTS:
            counts = self.run(read_hash(self.client, f"tenant:{tenant}"))
            for state in ("QUEUED", "RUNNING"):
                names = [n for n in self.names_in(state) if self.videos[n].tenant == tenant]
                assert int(counts.get(f"num_{state}", 0)) == len(names)
            assert ("is_held" in counts) == self.is_held(tenant)

    @invariant()
    def what_was_charged_is_what_was_used(self) -> None:
        for tenant in TENANTS:
            running = [n for n in self.names_in("RUNNING") if self.videos[n].tenant == tenant]
            expected = self.used[tenant]
            expected += sum(self.run(open_charge(self.client, name)) for name in running)
            charged = self.run(charged_seconds(self.client, f"standard:{tenant}"))
            assert charged == pytest.approx(expected, abs=1e-9)
        for name in self.videos.keys() - set(self.names_in("RUNNING")):
            assert self.run(open_charge(self.client, name)) == 0

    @invariant()
    def credits_are_reserved_until_the_end_and_settled_once(self) -> None:
        for tenant in TENANTS:
            videos = [v for v in (*self.videos.values(), *self.deleted) if v.tenant == tenant]
            self.run(require_credits(self.accounts, tenant, videos))

    @invariant()
    def virtual_time_never_goes_back(self) -> None:
        before, self.virtual_times = self.virtual_times, self.run(virtual_times(self.client))
        for pool, time in before.items():
            assert self.virtual_times[pool] >= time


def test_any_order_of_calls_leaves_every_video_as_it_should_be(server: RedisServer) -> None:
    run_state_machine_as_test(
        lambda: JobStoreMachine(server.url),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
