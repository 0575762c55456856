"""A simulated worker: claims, runs slices, obeys verdicts, as the real one does."""

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias

from simulation.process import Behaviour, Call, Request, Sleep
from telecine.errors import LeaseLostError, StoreUnavailableError
from telecine.jobs.job_types import (
    Assignment,
    Capability,
    CheckpointPointer,
    FinishedStep,
    Lease,
    SliceReport,
    Verdict,
)
from telecine.v1 import video_pb2

Answer: TypeAlias = Generator[Request, Any, Any]

_FAILURE = video_pb2.Failure(reason="MODEL_FAILED", message="the model failed")
_DECODE_SHARE = 0.1  # of a slice


@dataclass(frozen=True)
class WorkerSettings:
    """How one worker works.

    Attributes:
        gpu_seconds_per_unit: true cost of a step unit.
        noise: standard deviation of the logarithm of a slice's true cost.
        mishap_rate: how often things go wrong inside a worker, from 0 to 1.
        switch_seconds: time that a switch to another video takes, charged to nobody.
        reports_steps: False leaves out all calls that only inform.
    """

    capability: Capability
    slice_steps: int
    lease_seconds: float
    gpu_seconds_per_unit: float
    noise: float = 0.1
    mishap_rate: float = 0.0
    switch_seconds: float = 0.2
    reports_steps: bool = True


class SimulatedWorker:
    """One worker process, with the lanes of the real one.

    A video that gives way, or whose file is being finished, is held on while the next one is
    claimed; what is left to say of it comes after that.

    Args:
        damaged: keys of checkpoints that cannot be read, of all workers.
    """

    def __init__(
        self, name: str, settings: WorkerSettings, random: Random, *, damaged: set[str]
    ) -> None:
        self._name = name
        self._damaged = damaged
        self._settings = settings
        self._random = random
        self._num_claims = 0
        self._leaving: deque[Answer] = deque()

    def behave(self) -> Behaviour:
        """Serves videos for ever."""
        while True:
            yield from self._sweep()
            assignment = yield from self._claim()
            if assignment is None:
                yield from self._let_leave()
                yield Sleep(self._random.uniform(0.5, 2.0))
                continue
            if self._random.random() < 0.5:
                yield from self._let_leave()
            yield Sleep(self._settings.switch_seconds)
            try:
                yield from self._serve(assignment)
            except LeaseLostError:
                continue

    def _happens(self, share: float = 1.0) -> bool:
        return self._random.random() < share * self._settings.mishap_rate

    def _sweep(self) -> Answer:
        if self._random.random() < 0.7:
            return
        yield from self._call("expire_leases", lambda store: store.expire_leases())
        if not self._settings.reports_steps:
            return
        yield from self._call("expire_deadlines", lambda store: store.expire_deadlines())
        model = self._settings.capability.models[0]
        yield from self._call(
            "notify_waiting",
            lambda store: store.notify_waiting(model, reason="MODEL_LOADING", message="soon"),
        )

    def _claim(self) -> Answer:
        self._num_claims += 1
        settings, claim_id = self._settings, f"{self._name}/{self._num_claims}"
        assignment = yield from self._call(
            "claim",
            lambda store: store.claim(
                self._name,
                capability=settings.capability,
                slice_steps=settings.slice_steps,
                lease_seconds=settings.lease_seconds,
                claim_id=claim_id,
            ),
            claim_id=claim_id,
        )
        return assignment

    def _serve(self, assignment: Assignment) -> Answer:
        lease, video = assignment.lease, assignment.video
        if self._happens():
            yield from self._hand_back(lease)
            return
        stage = video_pb2.STAGE_DENOISING
        if self._settings.reports_steps:
            yield from self._call("enter_stage", lambda s: s.enter_stage(lease, stage), lease)
        step_index = self._first_step(assignment)
        while step_index < video.spec.num_inference_steps:
            last = min(video.spec.num_inference_steps, step_index + self._settings.slice_steps)
            seconds = self._slice_seconds(video, last - step_index)
            if (yield from self._run_slice(lease, step_index, last, seconds)):
                return
            leaving = yield from self._end_slice(lease, step_index, last, seconds)
            yield from self._let_leave()
            if leaving is not None:
                self._leaving.append(leaving)
                return
            step_index = last
        yield Sleep(self._decode_seconds(video))
        self._leaving.append(self._finish(lease, self._decode_seconds(video)))

    def _first_step(self, assignment: Assignment) -> int:
        if assignment.checkpoints and self._happens():
            self._damaged.add(assignment.checkpoints[0].key)
        steps = (c.step_index for c in assignment.checkpoints if c.key not in self._damaged)
        return next(steps, 0)

    def _slice_seconds(self, video: video_pb2.Video, num_steps: int) -> float:
        noise = math.exp(self._random.gauss(0.0, self._settings.noise))
        units = float(video.spec.prompt)
        return self._settings.gpu_seconds_per_unit * units * num_steps * noise

    def _decode_seconds(self, video: video_pb2.Video) -> float:
        units = float(video.spec.prompt) * self._settings.slice_steps
        return _DECODE_SHARE * self._settings.gpu_seconds_per_unit * units

    def _run_slice(self, lease: Lease, first: int, last: int, seconds: float) -> Answer:
        """Runs a slice's steps; answers whether the video was given up on the way."""
        num_looks = max(1, math.ceil(seconds / (self._settings.lease_seconds / 3)))
        for look in range(1, num_looks):
            yield Sleep(seconds / num_looks)
            directive = yield from self._look(lease, first + (last - first) * look // num_looks)
            if directive.is_cancelled:
                yield from self._acknowledge_cancel(lease, seconds * look / num_looks)
                return True
        yield Sleep(seconds / num_looks)
        if self._happens(0.3):
            yield from self._call("fail", lambda store: store.fail(lease, _FAILURE), lease)
            return True
        if self._happens(0.3):
            yield from self._hand_back(lease)
            return True
        return False

    def _look(self, lease: Lease, step_index: int) -> Answer:
        """Tells something, if only that the worker lives; answers with the directive."""
        kind = self._random.choice(["heartbeat", "finish_step", "finish_step", "notify"])
        if kind == "finish_step" and step_index:
            step = FinishedStep(step_index, 100, 0.5, 1.0, 1.0)
            directive = yield from self._call(
                kind, lambda store: store.finish_step(lease, step), lease
            )
        elif kind == "notify":
            directive = yield from self._call(
                kind, lambda store: store.notify(lease, "NEWS", "so far so good"), lease
            )
        else:
            directive = yield from self._call(
                "heartbeat", lambda store: store.heartbeat(lease), lease
            )
        return directive

    def _end_slice(
        self, lease: Lease, first: int, last: int, seconds: float
    ) -> Generator[Request, Any, Answer | None]:
        """Reports a slice; answers how to leave the video, None to go on with it."""
        is_disk_good = not self._happens(0.3)
        pointer = CheckpointPointer(f"{lease.token}/{last}", last, "sha256:0", 1)
        is_written = is_disk_good and self._random.random() < 0.5
        report = SliceReport(
            step_index=last,
            num_steps=last - first,
            gpu_seconds=seconds,
            checkpoint=pointer if is_written else None,
            is_checkpoint_coming=is_disk_good and not is_written,
        )
        verdict = yield from self._finish_slice(lease, report, first)
        late = pointer if report.is_checkpoint_coming else None
        if verdict is not Verdict.CONTINUE:
            return self._leave(lease, verdict, late)
        if late is not None:
            yield from self._commit(lease, late)
        return None

    def _finish_slice(self, lease: Lease, report: SliceReport, first: int) -> Answer:
        settings = self._settings
        verdict = yield from self._call(
            "finish_slice",
            lambda store: store.finish_slice(
                lease, report, capability=settings.capability, slice_steps=settings.slice_steps
            ),
            lease,
            report=report,
            first_step=first,
        )
        return verdict

    def _commit(self, lease: Lease, pointer: CheckpointPointer) -> Answer:
        yield from self._call(
            "commit_checkpoint",
            lambda store: store.commit_checkpoint(lease, pointer),
            lease,
            pointer=pointer,
        )

    def _leave(self, lease: Lease, verdict: Verdict, late: CheckpointPointer | None) -> Answer:
        """Does what a verdict asks for, once the checkpoint is written."""
        if verdict is Verdict.CANCEL:
            yield from self._acknowledge_cancel(lease, 0.0)
            return
        if late is not None:
            yield from self._commit(lease, late)
        if verdict is Verdict.PAUSE:
            yield from self._call("acknowledge_pause", lambda s: s.acknowledge_pause(lease), lease)
        else:
            yield from self._call(
                "requeue", lambda store: store.requeue(lease, reason="PREEMPTED"), lease
            )

    def _let_leave(self) -> Answer:
        while self._leaving:
            try:
                yield from self._leaving.popleft()
            except LeaseLostError:
                continue

    def _acknowledge_cancel(self, lease: Lease, used: float) -> Answer:
        yield from self._call(
            "acknowledge_cancel",
            lambda store: store.acknowledge_cancel(lease, gpu_seconds=used),
            lease,
            gpu_seconds=used,
        )

    def _hand_back(self, lease: Lease) -> Answer:
        is_loss = self._random.random() < 0.3
        reason = "MODEL_SERVER_LOST" if is_loss else "DRAINING"
        yield from self._call(
            "requeue",
            lambda store: store.requeue(lease, reason=reason, counts_as_loss=is_loss),
            lease,
        )

    def _finish(self, lease: Lease, decode_seconds: float) -> Answer:
        if self._settings.reports_steps and self._random.random() < 0.3:
            fragment = video_pb2.VideoEvent.FragmentReady()
            yield from self._call(
                "announce_fragment", lambda s: s.announce_fragment(lease, fragment), lease
            )
        yield from self._call(
            "complete",
            lambda store: store.complete(lease, [], gpu_seconds=decode_seconds),
            lease,
            gpu_seconds=decode_seconds,
        )

    def _call(self, function: str, make: Any, lease: Lease | None = None, **facts: Any) -> Answer:
        """Makes a call, again and again while its answer is lost."""
        while True:
            try:
                return (yield Call(function, make, lease, facts))
            except StoreUnavailableError:
                yield Sleep(self._random.uniform(0.2, 1.0))
