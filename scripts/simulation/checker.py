"""What must hold after every event of a simulation, whatever went wrong."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from simulation.accounts import AccountChecker
from simulation.fairness import FairnessMeter
from simulation.inspection import Snapshot
from simulation.process import Call
from simulation.scenario import Scenario
from simulation.simulated_store import QUEUE
from simulation.violation import require
from telecine.errors import LeaseLostError
from telecine.jobs.fair_scheduler import TIER_WEIGHTS
from telecine.jobs.job_types import Assignment, Lease, SliceReport
from telecine.jobs.keys import events_key, video_id_of
from telecine.jobs.transitions import ABSENT, ENDED_STATES, TRANSITIONS
from telecine.v1 import video_pb2

_ALLOWED = {(transition.source, transition.target) for transition in TRANSITIONS}
_ENDINGS = ("complete", "fail", "acknowledge_cancel", "acknowledge_pause", "requeue")
_COST_TOLERANCE = 1e-6
_SEQUENCE_DIGITS = 15  # of a head, before its flow


class Checker:
    """Follows one run from outside: every call that was made, and what is there after it.

    It knows the outcome of calls whose answers never reached their callers.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.meter = FairnessMeter(scenario.quantum_seconds)
        self._accounts = AccountChecker()
        self._before = Snapshot()
        self._flows: dict[str, str] = {}  # by video; what the flow should be
        self._claims: dict[str, Lease] = {}
        self._newest_token = 0
        self._checkpoints: dict[str, int] = {}
        self._endings: dict[str, tuple[str, int]] = {}
        self._slices: set[tuple[str, int, int]] = set()
        self._steps_done: dict[str, int] = {}
        self._completed: set[str] = set()
        self._served: defaultdict[str, float] = defaultdict(float)

    @property
    def num_live(self) -> int:
        """How many videos have not ended."""
        return len(self.live_videos())

    def live_videos(self) -> list[str]:
        """Returns the ids of the videos that have not ended."""
        videos = self._before.videos.items()
        return [name for name, video in videos if video["state"] not in ENDED_STATES]

    def waiting_videos(self) -> list[str]:
        """Returns the ids of the videos that wait."""
        return self._before.states("QUEUED")

    def observe(self, call: Call, answer: Any, error: Exception | None, after: Snapshot) -> None:
        """Checks one call that was made and what is there after it.

        Raises:
            Violation: something happened that must not.
        """
        if error is None:
            self._note_submission(call, answer)
            if isinstance(answer, Assignment):
                self._check_claim(call.facts["claim_id"], answer)
        if call.lease is not None:
            self._check_fence(call, call.lease, error, after)
        self._check_states(call, after)
        self._check_queue(after)
        self._check_costs(after)
        self._accounts.check(after)
        self._check_virtual_time(after)
        self._check_fairness(after)
        self._before = after

    def _note_submission(self, call: Call, answer: Any) -> None:
        if call.function != "submit":
            return
        plan = call.facts["plan"]
        flow = f"{video_pb2.Tier.Name(plan.tier)}:{plan.tenant}"
        self._flows[video_id_of(answer.name)] = flow
        weight = TIER_WEIGHTS[plan.tier]
        is_realtime = plan.tier == video_pb2.TIER_REALTIME
        self.meter.add_flow(flow, weight=weight, has_head_start=is_realtime)

    def _check_claim(self, claim_id: str, assignment: Assignment) -> None:
        lease = assignment.lease
        video_id = video_id_of(lease.video_name)
        known = self._claims.get(claim_id)
        before = self._before.videos[video_id]
        if before["state"] == "RUNNING":
            require(known == lease, f"{video_id} was claimed while it was held")
            return
        require(lease.token > self._newest_token, f"token {lease.token} is not new")
        self._newest_token = lease.token
        self._claims[claim_id] = lease
        kept = [pointer.step_index for pointer in assignment.checkpoints]
        newest = kept[0] if kept else None
        require(newest == self._checkpoints.get(video_id), f"{video_id} lost its checkpoint")

    def _check_fence(
        self, call: Call, lease: Lease, error: Exception | None, after: Snapshot
    ) -> None:
        video_id = video_id_of(lease.video_name)
        before = self._before.videos.get(video_id, {})
        is_holder = before.get("state") == "RUNNING" and before.get("token") == str(lease.token)
        is_repeat = self._endings.get(video_id) == (call.function, lease.token)
        if error is None:
            what = f"{call.function} of {video_id} with the old token {lease.token}"
            require(is_holder or is_repeat, f"{what} was accepted")
            if is_holder:
                self._note_work(call, lease, video_id)
        elif isinstance(error, LeaseLostError):
            require(not is_holder, f"the holder of {video_id} was refused {call.function}")
            same = before == after.videos.get(video_id, {})
            require(same, f"{call.function} of {video_id} was refused, and yet written")

    def _note_work(self, call: Call, lease: Lease, video_id: str) -> None:
        if call.function in _ENDINGS:
            self._endings[video_id] = (call.function, lease.token)
            self._serve(video_id, call.facts.get("gpu_seconds", 0.0))
        if call.function == "complete":
            require(video_id not in self._completed, f"{video_id} was completed twice")
            self._completed.add(video_id)
        report: SliceReport | None = call.facts.get("report")
        if report is not None:
            self._note_slice(video_id, lease, report, call.facts["first_step"])
        pointer = call.facts.get("pointer") or getattr(report, "checkpoint", None)
        if pointer is not None:
            self._checkpoints[video_id] = pointer.step_index

    def _note_slice(self, video_id: str, lease: Lease, report: SliceReport, first: int) -> None:
        if (video_id, lease.token, report.step_index) in self._slices:
            return
        self._slices.add((video_id, lease.token, report.step_index))
        done = max(first, self._steps_done.get(video_id, 0))
        fresh_share = max(0, report.step_index - done) / (report.step_index - first)
        self._steps_done[video_id] = max(done, report.step_index)
        self._serve(video_id, report.gpu_seconds * fresh_share)

    def _serve(self, video_id: str, seconds: float) -> None:
        self.meter.charge(self._flows[video_id], seconds)
        self._served[self._before.videos[video_id]["flow"]] += seconds

    def _check_states(self, call: Call, after: Snapshot) -> None:
        for video_id in self._before.videos.keys() | after.videos.keys():
            source = self._before.videos.get(video_id, {}).get("state", ABSENT)
            target = after.videos.get(video_id, {}).get("state", ABSENT)
            if source != target:
                change = f"{call.function} moved {video_id} from {source} to {target}"
                require((source, target) in _ALLOWED, change)
                is_asked = target != ABSENT or call.function == "delete"
                require(is_asked, f"{call.function} lost {video_id}")

    def _check_queue(self, after: Snapshot) -> None:
        for state in ("QUEUED", "RUNNING", "PAUSED", *sorted(ENDED_STATES)):
            counted = float(after.counters.get(f"num_{state}", 0))
            there = len(after.states(state))
            require(counted == there, f"num_{state} is {counted}, and there are {there}")
        waiting = [video for videos in after.waiting.values() for video in videos]
        require(
            sorted(waiting) == sorted(after.states("QUEUED")),
            f"{waiting} wait, and {after.states('QUEUED')} are QUEUED",
        )
        require(
            sorted(after.leases) == sorted(after.states("RUNNING")),
            f"{list(after.leases)} are leased, and {after.states('RUNNING')} are RUNNING",
        )
        self._check_heads(after)
        for name, flow in after.flow.items():
            videos = [video for video in after.videos.values() if video.get("flow") == name]
            for counter, state in (("num_waiting", "QUEUED"), ("num_running", "RUNNING")):
                there = sum(video["state"] == state for video in videos)
                counted = float(flow.get(counter, 0))
                require(
                    counted == there, f"{counter} of {name} is {counted}, and there are {there}"
                )

    def _check_heads(self, after: Snapshot) -> None:
        """Every flow that waits is in the order, unless its tenant runs as much as it may."""
        held = {name for name, tenant in after.tenant.items() if tenant.get("is_held")}
        due = {
            name for name, videos in after.waiting.items() if videos and _tenant(name) not in held
        }
        heads = {**after.heads}
        for pool, urgent in after.realtime_heads.items():
            heads[pool] = {**heads.get(pool, {}), **urgent}
        there = {
            f"{pool}:{head[_SEQUENCE_DIGITS + 1 :]}": float(start)
            for pool, flows in heads.items()
            for head, start in flows.items()
        }
        require(due == there.keys(), f"{due} wait, and in the order are {there.keys()}")
        for name, start in there.items():
            pool, flow = _split(name)
            finish = float(after.flow[flow][f"finish:{pool}"])
            require(start == finish, f"{flow} starts at {start} in {pool}, and not at {finish}")

    def _check_costs(self, after: Snapshot) -> None:
        """Charges less refunds are what was used; what runs is charged by its estimate."""
        for name, flow in after.flow.items():
            running = (video for video in after.videos.values() if video.get("flow") == name)
            open_charges = sum(float(video.get("charged", 0)) for video in running)
            charged = float(flow.get("charged_seconds", 0))
            used = self._served[name] + open_charges
            is_same = abs(charged - used) <= _COST_TOLERANCE * max(1.0, used)
            require(is_same, f"{name} was charged {charged}, and used {used}")

    def _check_virtual_time(self, after: Snapshot) -> None:
        for name, value in self._before.counters.items():
            if name.startswith("virtual_time"):
                later = float(after.counters.get(name, 0))
                require(later >= float(value), f"{name} went back from {value} to {later}")

    def _check_fairness(self, after: Snapshot) -> None:
        meter = self.meter
        meter.num_lanes = max(meter.num_lanes, len(after.leases))
        for video_id in after.leases:
            account = meter.accounts[self._flows[video_id]]
            charged = float(after.videos[video_id].get("charged", 0))
            account.longest = max(account.longest, charged)
        if self._scenario.is_fairness_measured:
            meter.observe(self._eligible_flows(after))
        if self._scenario.is_fairness_required:
            ratio, pair = meter.worst()
            require(ratio <= 1.0, f"{pair} are {ratio:.2f} of their bound apart in service")

    def _eligible_flows(self, after: Snapshot) -> set[str]:
        held = {name for name, tenant in after.tenant.items() if tenant.get("is_held")}
        waiting = after.states("QUEUED")
        return {self._flows[name] for name in waiting if after.videos[name]["tenant"] not in held}

    def check_logs(self, client: Any) -> None:
        """Checks that every log tells of each change of state, in order, and of one end.

        Raises:
            Violation: one does not.
        """
        for video_id, video in self._before.videos.items():
            entries = client.xrange(events_key(QUEUE, video_id))
            states = list(_states(fields[b"event"] for _, fields in entries))
            changes = set(zip([ABSENT, *states], states, strict=False))
            require(changes <= _ALLOWED, f"the log of {video_id} tells of {states}")
            require(states[-1] == video["state"], f"the log of {video_id} ends in {states[-1]}")
            num_ends = sum(state in ENDED_STATES for state in states)
            require(num_ends == 1, f"{video_id} ended {num_ends} times")


def _split(waiting: str) -> tuple[str, str]:
    """Returns the pool, `toybox:8`, and the flow, `batch:t0`, of a key of waiting videos."""
    model, memory, flow = waiting.split(":", 2)
    return f"{model}:{memory}", flow


def _tenant(waiting: str) -> str:
    return waiting.rsplit(":", maxsplit=1)[-1]


def _states(events: Iterable[bytes]) -> Iterable[str]:
    for encoded in events:
        event = video_pb2.VideoEvent.FromString(encoded)
        if event.HasField("state_changed"):
            state = event.state_changed.state
            yield video_pb2.Video.State.Name(state).removeprefix("STATE_")
