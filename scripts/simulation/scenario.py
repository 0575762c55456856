"""What one seed stands for: videos, workers, limits, faults."""

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from simulation.clients import VideoPlan
from simulation.faults import FaultPlan, Place
from simulation.orders import Order
from simulation.plants import Plant
from simulation.workers import WorkerSettings
from telecine.jobs.fair_scheduler import TIER_WEIGHTS
from telecine.jobs.job_types import Capability, QueueLimits

GIB = 2**30
_MODELS = ("toybox", "cinema")
_FIRST_RATE = 0.04  # GPU seconds a step unit that the queue expects before it has learnt
_OF_CANCELS = frozenset({"cancel", "acknowledge_cancel"})
_OF_PAUSES = frozenset({"pause", "resume", "acknowledge_pause"})
_NOT_IN_CROWDS = _OF_CANCELS | _OF_PAUSES | {"delete"}
_QUANTA = (0.0, 0.5, 2.0)
_END_SECONDS = 1500.0  # after the faults: far more than all work left takes


@dataclass(frozen=True)
class Scenario:
    """One run's world.

    Attributes:
        clock_steps: when the server's clock is put right or wrong, and its error from then on.
        calm_after: when the last fault has struck, in seconds.
        deadline: by when everything must have ended.
        has_gateway: whether one looks at the queue of itself.
        is_fairness_measured: whether all workers can make all videos, so that the bound holds.
        is_fairness_required: whether a larger gap fails the run; controls only measure.
    """

    videos: tuple[VideoPlan, ...]
    workers: tuple[WorkerSettings, ...]
    limits: QueueLimits
    quantum_seconds: float
    lease_seconds: float
    fault_plan: FaultPlan
    clock_steps: tuple[tuple[float, float], ...] = ()
    calm_after: float = 200.0
    deadline: float = 200.0 + _END_SECONDS
    has_gateway: bool = True
    is_fairness_measured: bool = True
    is_fairness_required: bool = True
    plant: Plant | None = None
    order: Order = Order.FAIR


def draw_scenario(random: Random, *, target: Place | None, plant: Plant | None = None) -> Scenario:
    """Draws a world: every other one a crowd that competes, else one in which all may happen."""
    is_crowd = random.random() < 0.5 and (target is None or target.function not in _NOT_IN_CROWDS)
    fault_plan = FaultPlan(_draw_fault_rate(random), target)
    scenario = (draw_crowd if is_crowd else _draw_medley)(random, fault_plan)
    return replace(scenario, plant=plant)


def draw_crowd(random: Random, fault_plan: FaultPlan) -> Scenario:
    """Draws a few flows that wait all the while for workers that are alike."""
    model = _MODELS[:1]
    shared = _draw_shared(random)
    workers = (WorkerSettings(Capability(model, model, 0), **shared),) * random.choice([1, 1, 2, 3])
    return Scenario(
        videos=_draw_competing_videos(random),
        workers=workers,
        limits=QueueLimits(),
        quantum_seconds=random.choice(_QUANTA),
        lease_seconds=shared["lease_seconds"],
        fault_plan=fault_plan,
        deadline=2 * _END_SECONDS,
    )


def _draw_medley(random: Random, fault_plan: FaultPlan) -> Scenario:
    are_alike, target = random.random() < 0.6, fault_plan.target
    workers = _draw_workers(random, are_alike=are_alike)
    limits = QueueLimits(
        max_queued=random.choice([8, 10_000]),
        max_queued_per_tenant=random.choice([5, 2_000]),
        max_running_per_tenant=random.choice([1, 2, 64, 64]),
    )
    return Scenario(
        videos=_draw_videos(random, num_models=len(workers[0].capability.models), target=target),
        workers=workers,
        limits=limits,
        quantum_seconds=random.choice(_QUANTA),
        lease_seconds=workers[0].lease_seconds,
        fault_plan=fault_plan,
        clock_steps=_draw_clock_steps(random),
        is_fairness_measured=are_alike,
        is_fairness_required=are_alike,
    )


def _draw_fault_rate(random: Random) -> float:
    return random.choice([0.0, 0.01, 0.03, 0.06])


def _draw_shared(random: Random) -> dict[str, Any]:
    return {
        "slice_steps": random.choice([2, 5, 10]),
        "lease_seconds": random.uniform(6.0, 20.0),
        "gpu_seconds_per_unit": _FIRST_RATE * random.uniform(0.6, 1.6),
        "mishap_rate": random.choice([0.0, 0.05, 0.15]),
    }


def _draw_competing_videos(random: Random) -> tuple[VideoPlan, ...]:
    """Each flow has as much work for its weight, so that none runs dry long before the others."""
    tiers = random.choices(sorted(TIER_WEIGHTS), k=random.randint(2, 3))
    work_of_weight = random.uniform(150, 400) / sum(TIER_WEIGHTS[tier] for tier in tiers)
    videos: list[VideoPlan] = []
    for number, tier in enumerate(tiers):
        units_left = work_of_weight * TIER_WEIGHTS[tier] / _FIRST_RATE
        num_videos = random.randint(2, 5)
        for _ in range(num_videos):
            num_steps = random.randint(4, 60)
            videos.append(
                VideoPlan(
                    tenant=f"t{number}",
                    tier=tier,
                    model=_MODELS[0],
                    num_steps=num_steps,
                    step_units=units_left / num_videos / num_steps,
                    arrival=random.uniform(0.0, 2.0),
                    request_id=f"r{len(videos)}",
                    cancel_after=random.choice([None] * 9 + [random.uniform(0, 60)]),
                )
            )
    return tuple(videos)


def _draw_workers(random: Random, *, are_alike: bool) -> tuple[WorkerSettings, ...]:
    models = _MODELS[: random.choice([1, 1, 2])]
    shared = _draw_shared(random)
    everything = Capability(models, models, 0)
    workers = [WorkerSettings(capability=everything, **shared)]
    for _ in range(random.randrange(4)):
        capability = everything
        if not are_alike:
            few = tuple(sorted(random.sample(models, random.randint(1, len(models)))))
            capability = Capability(few, few[:1], random.choice([0, 8 * GIB]))
        workers.append(WorkerSettings(capability=capability, **shared))
    return tuple(workers)


def _draw_videos(random: Random, *, num_models: int, target: Place | None) -> tuple[VideoPlan, ...]:
    # Owners change their minds now and then, and all do where it matters.
    cancel_rate = 1.0 if target and target.function in _OF_CANCELS else 0.25
    pause_rate = 1.0 if target and target.function in _OF_PAUSES else 0.4
    tenants = [f"t{number}" for number in range(random.randint(2, 4))]
    tiers = random.sample(sorted(TIER_WEIGHTS), random.randint(1, 3))
    is_burst = random.random() < 0.6
    return tuple(
        VideoPlan(
            tenant=random.choice(tenants),
            tier=random.choice(tiers),
            model=random.choice(_MODELS[:num_models]),
            num_steps=random.randint(2, 40),
            step_units=random.uniform(2.0, 20.0),
            arrival=0.0 if is_burst else random.uniform(0.0, 120.0),
            request_id=f"r{number}" if random.random() < 0.8 else "",
            memory_bytes=random.choice([0, 4 * GIB, 12 * GIB]),
            start_within_seconds=random.choice([None, None, None, random.uniform(1, 90)]),
            cancel_after=random.uniform(0, 60) if random.random() < cancel_rate else None,
            pause_after=random.uniform(0, 60) if random.random() < pause_rate else None,
            is_deleted=random.random() < 0.3,
        )
        for number in range(random.randint(4, 14))
    )


def _draw_clock_steps(random: Random) -> tuple[tuple[float, float], ...]:
    if random.random() < 0.8:
        return ()
    num_steps = random.randint(1, 3)
    return tuple((random.uniform(0, 150), random.uniform(-30, 30)) for _ in range(num_steps))
