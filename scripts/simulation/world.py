"""One simulated run: processes, faults, virtual time, and checks after every event."""

from collections.abc import Callable
from random import Random

import redis.exceptions

from simulation.checker import Checker
from simulation.clients import VideoOwner, VideoPlan, gateway
from simulation.event_loop import MICROS, EventLoop
from simulation.faults import Boundary, Fault, FaultInjector, Place
from simulation.inspection import INSPECT, Inspector
from simulation.process import Behaviour, Call, Process, Sleep
from simulation.scenario import Scenario
from simulation.simulated_redis import SimulatedRedis
from simulation.simulated_store import (
    RUN_KEY,
    BlockingCalls,
    SimulatedLibrary,
    SimulatedStore,
    run,
)
from simulation.violation import Violation
from simulation.workers import SimulatedWorker, WorkerSettings
from telecine.errors import StoreUnavailableError, TelecineError

_EPOCH = 1_700_000_000.0  # the clock at the beginning of a run, seconds since 1970
_LOST_ANSWER_SECONDS = 5.0


class World:
    """Processes that call one Redis in an order drawn by chance."""

    def __init__(self, server: SimulatedRedis, scenario: Scenario, *, random: Random) -> None:
        self._redis = server
        self._scenario = scenario
        self._random = random
        self.loop = EventLoop(random)
        self.faults = FaultInjector(random, scenario.fault_plan)
        self._calls = BlockingCalls(server, self._clock_micros, inspect_after=INSPECT)
        self._front_store = self._new_store()  # of the gateway, and of the clients behind it
        self._inspector = Inspector()
        self.checker = Checker(scenario)
        self.trace: list[str] = []
        self._num_owners_left = len(scenario.videos)
        self._num_restarts = 0
        self._damaged: set[str] = set()
        self._clock_error = 0.0
        server.empty()

    def _new_store(self) -> SimulatedStore:
        """A process of its own has its own memory of what it saw of Redis."""
        scenario = self._scenario
        library = SimulatedLibrary(
            self._calls, random=self._random, plant=scenario.plant, order=scenario.order
        )
        return SimulatedStore(
            library, limits=scenario.limits, quantum_seconds=scenario.quantum_seconds
        )

    def run(self) -> None:
        """Runs until every video has ended and every owner is content.

        Raises:
            Violation: something happened that must not.
        """
        self._start_all()
        while self._num_owners_left or self.checker.num_live:
            if self.loop.now > self._scenario.calm_after:
                self.faults.is_calm = True
            if self.loop.now > self._scenario.deadline:
                raise Violation(f"not ended by {self.loop.now:.0f} s: {self.checker.live_videos()}")
            self.loop.run_next()
        self.checker.check_logs(self._redis.client)

    def _start_all(self) -> None:
        for number, plan in enumerate(self._scenario.videos):
            self._start_owner(f"client{number}", plan)
        for number, settings in enumerate(self._scenario.workers):
            self._start_worker(f"worker{number}", settings, 0)
        if self._scenario.has_gateway:
            self._start_gateway(0)
        for seconds, error in self._scenario.clock_steps:
            self.loop.after(seconds, lambda error=error: self._step_clock(error))  # type: ignore[misc]

    def _start_owner(self, name: str, plan: VideoPlan, *, is_restarted: bool = False) -> None:
        owner = VideoOwner(plan, self._random, self._owner_finished)
        behaviour = owner.behave(is_restarted=is_restarted)
        self._start(
            "client", name, behaviour, lambda: self._start_owner(name, plan, is_restarted=True)
        )

    def _start_worker(self, name: str, settings: WorkerSettings, life: int) -> None:
        worker = SimulatedWorker(f"{name}-{life}", settings, self._random, damaged=self._damaged)
        self._start(
            "worker",
            f"{name}-{life}",
            worker.behave(),
            lambda: self._start_worker(name, settings, life + 1),
        )

    def _start_gateway(self, life: int) -> None:
        behaviour = gateway(self._front_store.library, self.checker.waiting_videos, self._random)
        name = f"gateway-{life}"
        self._start("gateway", name, behaviour, lambda: self._start_gateway(life + 1))

    def _start(
        self, role: str, name: str, behaviour: Behaviour, restart: Callable[[], None]
    ) -> None:
        store = self._new_store() if role == "worker" else self._front_store
        process = Process(role, name, behaviour, restart, store)
        self.loop.after(0.0, lambda: self._resume(process))

    def _owner_finished(self) -> None:
        self._num_owners_left -= 1

    def _resume(
        self, process: Process, answer: object = None, error: Exception | None = None
    ) -> None:
        try:
            if error is not None:
                request = process.behaviour.throw(error)
            else:
                request = process.behaviour.send(answer)
        except StopIteration:
            return
        if isinstance(request, Sleep):
            self.loop.after(request.seconds, lambda: self._resume(process))
        else:
            self.loop.after(self._latency(), lambda: self._reach(process, request))

    def _latency(self) -> float:
        return self._random.expovariate(1000.0)

    def _reach(self, process: Process, call: Call) -> None:
        """The call is about to be made."""
        match self._draw(process, call, Boundary.BEFORE):
            case Fault.KILL:
                self._kill(process)
            case Fault.PAUSE:
                self.loop.after(self._pause_seconds(), lambda: self._execute(process, call))
            case Fault.LOSE:
                self._lose(process)
            case Fault.RESTART:
                self._restart_redis()
                self._lose(process)
            case _:
                self._execute(process, call)

    def _execute(self, process: Process, call: Call) -> None:
        """The call is made; its answer is on the way."""
        answer, error = self._invoke(process, call)
        match self._draw(process, call, Boundary.AFTER):
            case Fault.KILL:
                self._kill(process)
            case Fault.PAUSE:
                self.loop.after(self._pause_seconds(), lambda: self._resume(process, answer, error))
            case Fault.LOSE:
                self._lose(process)
            case Fault.RESTART:
                self._restart_redis()
                self._lose(process)
            case Fault.DUPLICATE:
                answer, error = self._invoke(process, call)
                self._answer(process, answer, error)
            case _:
                self._answer(process, answer, error)

    def _answer(self, process: Process, answer: object, error: Exception | None) -> None:
        self.loop.after(self._latency(), lambda: self._resume(process, answer, error))

    def _draw(self, process: Process, call: Call, boundary: Boundary) -> Fault | None:
        fault = self.faults.draw(Place(process.role, call.function, boundary))
        if fault is not None:
            self._note(f"{process.name} {fault} {boundary} {call.function}")
        return fault

    def _invoke(self, process: Process, call: Call) -> tuple[object, Exception | None]:
        answer, error = None, None
        try:
            answer = run(call.make(process.store))
        except StoreUnavailableError:
            raise  # not one of ours: the real Redis has failed
        except TelecineError as refusal:
            error = refusal
        except redis.exceptions.ResponseError as broken:
            raise Violation(f"{call.function} broke: {broken}") from broken
        self._note(f"{process.name} {call.function} {_summary(call, answer, error)}")
        self.checker.observe(call, answer, error, self._inspector.decode(self._calls.inspection))
        return answer, error

    def _lose(self, process: Process) -> None:
        error = StoreUnavailableError("the answer was lost")
        seconds = self._random.uniform(0.0, _LOST_ANSWER_SECONDS)
        self.loop.after(seconds, lambda: self._resume(process, error=error))

    def _kill(self, process: Process) -> None:
        process.behaviour.close()
        self.loop.after(self._random.uniform(0.5, 20.0), process.restart)

    def _pause_seconds(self) -> float:
        return self._random.choice([1.0, 1.0, 3.0]) * self._scenario.lease_seconds

    def _restart_redis(self) -> None:
        self._redis.restart()
        self._num_restarts += 1
        self._redis.client.set(RUN_KEY, self._num_restarts)

    def _step_clock(self, error: float) -> None:
        self._note(f"the clock steps by {error - self._clock_error:+.0f} s")
        self._clock_error = error

    def _clock_micros(self) -> int:
        return round((_EPOCH + self.loop.now + self._clock_error) * MICROS)

    def _note(self, line: str) -> None:
        self.trace.append(f"{self.loop.now:10.3f} {line}")


def _summary(call: Call, answer: object, error: Exception | None) -> str:
    if error is not None:
        return f"{type(error).__name__}: {error}"
    lease = getattr(answer, "lease", call.lease)
    held = "" if lease is None else f"{lease.video_name} {lease.token}"
    if report := call.facts.get("report"):
        held += f" steps {call.facts['first_step']} to {report.step_index}"
    result = answer if isinstance(answer, int | str) else getattr(answer, "name", "")
    return f"{held} {result}".strip()
