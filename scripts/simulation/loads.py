"""Measures shares and waits of a large service, beside first come, first served.

python -m simulation.loads KIND NUM_TENANTS NUM_JOBS FILE (in scripts/) writes JSON to FILE. KIND is
`equal` or `weighted` (all wait from the beginning), or a load such as `0.9` (jobs come and go).
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from simulation.fairness import jain_index
from simulation.load import SECONDS_OF_A_SLICE, Job, Load, LoadResult, draw_size
from simulation.orders import Order
from simulation.simulated_redis import SimulatedRedis
from telecine.jobs.fair_scheduler import TIER_WEIGHTS, tier_word
from telecine.v1 import video_pb2

Tier: TypeAlias = video_pb2.Tier.ValueType

_NUM_WORKERS = 8
_SWITCH_SECONDS = 0.1
_LONGEST_SLICES = 50
_SHORT_SLICES = 1
_SLO_FACTOR = 3.0
_TIERS = tuple(sorted(TIER_WEIGHTS))


def main() -> None:
    """Reads the command line and measures."""
    kind, num_tenants, num_jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with SimulatedRedis() as server:
        if kind == "equal":
            answer = measure_equal(server, num_tenants, num_jobs)
        elif kind == "weighted":
            answer = measure_weighted(server, num_tenants, num_jobs)
        else:
            answer = measure_waits(server, num_tenants, num_jobs, load=float(kind))
    Path(sys.argv[4]).write_text(json.dumps(answer))


def measure_equal(server: SimulatedRedis, num_tenants: int, num_jobs: int) -> dict[str, Any]:
    """Returns Jain's index of what tenants of one weight have had while all of them waited."""
    tenants = dict.fromkeys(_names(num_tenants), video_pb2.TIER_STANDARD)
    counts = dict.fromkeys(tenants, num_jobs // num_tenants)
    result = _run_while_all_wait(server, tenants, counts, shortest=1)
    return {"jain": jain_index(result.service), "slices": _num_slices(result)}


def measure_weighted(server: SimulatedRedis, num_tenants: int, num_jobs: int) -> dict[str, Any]:
    """Returns each tier's share of the service over its share of the weights, by its name."""
    tenants = _with_tiers(num_tenants)
    all_weights = sum(TIER_WEIGHTS[tier] for tier in tenants.values())
    counts = {
        name: max(1, round(num_jobs * TIER_WEIGHTS[tier] / all_weights))
        for name, tier in tenants.items()
    }
    result = _run_while_all_wait(server, tenants, counts, shortest=3)
    served, due = dict.fromkeys(_TIERS, 0.0), dict.fromkeys(_TIERS, 0.0)
    total = sum(result.service.values())
    for name, seconds in result.service.items():
        served[tenants[name]] += seconds / total
    for tier in tenants.values():
        due[tier] += TIER_WEIGHTS[tier] / all_weights
    shares = {tier_word(tier): served[tier] / due[tier] for tier in _TIERS}
    return {"shares": shares, "slices": _num_slices(result)}


def measure_waits(
    server: SimulatedRedis, num_tenants: int, num_jobs: int, *, load: float
) -> dict[str, Any]:
    """Returns how short jobs fare and how long each tier waits, in the fair order and in FIFO."""
    answer: dict[str, Any] = {}
    for order in (Order.FAIR, Order.FIFO):
        jobs = _draw_coming(Random(num_jobs), _with_tiers(num_tenants), num_jobs, load=load)
        running = Load(
            server, jobs, num_workers=_NUM_WORKERS, switch_seconds=_SWITCH_SECONDS, order=order
        )
        result = running.run()
        answer[order.name.lower()] = {
            "attainment": _attainment(result.jobs),
            "throughput": len(jobs) / result.makespan,
            "p99_wait": {tier_word(tier): _p99_wait(result.jobs, tier) for tier in _TIERS},
            "switches_a_job": result.num_switches / len(jobs),
        }
    return answer


def _names(num_tenants: int) -> list[str]:
    return [f"t{number}" for number in range(num_tenants)]


def _with_tiers(num_tenants: int) -> dict[str, Tier]:
    return {name: _TIERS[n % len(_TIERS)] for n, name in enumerate(_names(num_tenants))}


def _run_while_all_wait(
    server: SimulatedRedis, tenants: Mapping[str, Tier], counts: Mapping[str, int], *, shortest: int
) -> LoadResult:
    """Queues everything at once and runs until the last job of some tenant starts."""
    random = Random(len(tenants))
    jobs = [
        Job(name, tier, draw_size(random, shortest=shortest, longest=_LONGEST_SLICES), 0.0)
        for name, tier in tenants.items()
        for _ in range(counts[name])
    ]
    random.shuffle(jobs)
    left = Counter(counts)

    def is_over(job: Job) -> bool:
        left[job.tenant] -= 1
        return left[job.tenant] == 0

    load = Load(server, jobs, num_workers=_NUM_WORKERS, switch_seconds=_SWITCH_SECONDS)
    return load.run(is_over=is_over)


def _draw_coming(
    random: Random, tenants: Mapping[str, Tier], num_jobs: int, *, load: float
) -> list[Job]:
    """Returns jobs of a Poisson process that keeps the workers busy for the share `load`."""
    sizes = [draw_size(random, shortest=1, longest=_LONGEST_SLICES) for _ in range(num_jobs)]
    rate = load * _NUM_WORKERS / (SECONDS_OF_A_SLICE * sum(sizes) / num_jobs)
    jobs, now = [], 0.0
    for size in sizes:
        now += random.expovariate(rate)
        name = random.choice(list(tenants))
        jobs.append(Job(name, tenants[name], size, now))
    return jobs


def _attainment(jobs: Sequence[Job]) -> float:
    """Returns the share of short jobs that took at most three times what they take alone."""
    short = [job for job in jobs if job.num_slices <= _SHORT_SLICES]
    in_time = sum(job.end - job.arrival <= _SLO_FACTOR * job.lone_seconds for job in short)
    return in_time / len(short)


def _p99_wait(jobs: Sequence[Job], tier: Tier) -> float:
    waits = sorted(job.start - job.arrival for job in jobs if job.tier == tier)
    return waits[int(0.99 * (len(waits) - 1))]


def _num_slices(result: LoadResult) -> int:
    return round(sum(result.service.values()) / SECONDS_OF_A_SLICE)


if __name__ == "__main__":
    main()
