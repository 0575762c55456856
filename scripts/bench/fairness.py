"""How fair the queue is: gaps in service over their bound, shares, waits, beside unfair orders.

python scripts/bench/fairness.py [--schedules 10000] [--control-every 20] [--tenants 1000]
    [--jobs 100000] [--coming-jobs 20000] [--processes 2]

All of it is simulated in virtual time over the queue's own Redis functions (scripts/simulation):
how busy the machine is changes how long this takes, and no figure. What has run is kept in
var/bench/fairness, so that a run that was ended goes on where it stopped.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from report import Figure, figure, write_report

from telecine.jobs.function_library import library_source

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
SEEDS_OF_A_PART = 250
LOADS = ("0.8", "0.9")
TIERS = ("realtime", "premium", "standard", "batch")


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000, help="seeded, with kills")
    parser.add_argument("--control-every", type=int, default=20, help="one in so many unfair too")
    parser.add_argument("--tenants", type=int, default=1_000)
    parser.add_argument("--jobs", type=int, default=100_000, help="that wait from the beginning")
    parser.add_argument("--coming-jobs", type=int, default=20_000, help="that come over time")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "var" / "bench" / "fairness")
    options = parser.parse_args()
    folder = results_folder(options)
    with ThreadPoolExecutor(options.processes) as pool:
        equal, weighted = (
            pool.submit(run_load, folder, kind, options.tenants, options.jobs)
            for kind in ("equal", "weighted")
        )
        coming = {
            load: pool.submit(run_load, folder, load, options.tenants, options.coming_jobs)
            for load in LOADS
        }
        schedules = [
            pool.submit(run_schedules, folder, seeds, options.control_every)
            for seeds in _parts(options)
        ]
        rows = [
            *gap_figures([line for part in schedules for line in part.result()]),
            *share_figures(equal.result(), weighted.result(), options),
            *(
                row
                for load, future in coming.items()
                for row in wait_figures(load, future.result(), options)
            ),
        ]
    write_report("fairness", rows)


def results_folder(options: argparse.Namespace) -> Path:
    """Returns where results are kept; those of another source lie elsewhere."""
    _, source = library_source()
    parts = [source.encode(), *(f.read_bytes() for f in sorted(SCRIPTS.glob("simulation/*.py")))]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()[:12]
    folder: Path = options.results / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_schedules(folder: Path, seeds: range, control_every: int) -> list[dict[str, Any]]:
    """Runs seeded schedules in a process of their own; goes on where an earlier run stopped."""
    file = folder / f"every-{control_every}-{seeds.start}.jsonl"
    _run("simulation.schedules", seeds.start, seeds.stop, control_every, file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line for line in lines if line["seed"] in seeds]


def run_load(folder: Path, kind: str, num_tenants: int, num_jobs: int) -> dict[str, Any]:
    """Runs one load in a process of its own, unless its result is there."""
    file = folder / f"{kind}-{num_tenants}-{num_jobs}.json"
    if not file.exists():
        _run("simulation.loads", kind, num_tenants, num_jobs, file)
    answer: dict[str, Any] = json.loads(file.read_text())
    return answer


def gap_figures(lines: list[dict[str, Any]]) -> Iterable[Figure]:
    """Yields the largest gaps of all schedules, fair and not; a broken invariant ends the run."""
    broken = [line for line in lines if line["violation"]]
    if broken:
        raise SystemExit(f"seed {broken[0]['seed']}: {broken[0]['violation']}")
    faults = sum(line["faults"] for line in lines)
    for order in ("fair", "first come, first served", "strict priority"):
        ratios = [line["ratios"][order] for line in lines if order in line["ratios"]]
        is_control = order != "fair"
        yield figure(
            f"largest service gap / bound, {order}",
            [max(ratios)],
            goal=1.0,
            better="higher" if is_control else "lower",
            conditions=f"{len(ratios):,} seeded schedules, 2 to 3 flows that all wait, 1 to 3 "
            f"workers, kills, pauses and lost answers ({faults:,} faults in the fair ones)"
            + ("; a control, which must exceed the bound" if is_control else ""),
        )


def share_figures(
    equal: dict[str, Any], weighted: dict[str, Any], options: argparse.Namespace
) -> Iterable[Figure]:
    """Yields how even the shares of many tenants are."""
    size = (
        f"{options.tenants:,} tenants, {options.jobs:,} jobs that all wait from the beginning, "
        "Pareto sizes (shape 1.2, cut at 50 slices), 8 workers, until one tenant has nothing left"
    )
    yield figure(
        "Jain index of tenants of one weight",
        [equal["jain"]],
        goal=0.99,
        better="higher",
        conditions=f"{size}: {equal['slices']:,} slices",
    )
    for tier in TIERS:
        yield figure(
            f"deviation of the share of {tier} from its weight",
            [abs(weighted["shares"][tier] - 1.0)],
            goal=0.02,
            conditions=f"{size}: {weighted['slices']:,} slices; a job has 3 slices or more; the "
            f"share is {weighted['shares'][tier]:.4f} of what is due",
        )


def wait_figures(
    load: str, answer: dict[str, Any], options: argparse.Namespace
) -> Iterable[Figure]:
    """Yields how long jobs wait that come over time, in the fair order and in FIFO."""
    fair, fifo = answer["fair"], answer["fifo"]
    size = (
        f"{options.coming_jobs:,} jobs of {options.tenants:,} tenants, Pareto sizes (shape 1.2, "
        f"1 to 50 slices of 5 s), 8 workers, 0.1 s for a switch, load {load}"
    )
    yield figure(
        f"short jobs done within 3 times their lone time at load {load}",
        [fair["attainment"]],
        goal=fifo["attainment"],
        better="higher",
        conditions=f"{size}; jobs of one slice; the goal is what first come, first served reaches",
    )
    yield figure(
        f"throughput over first come, first served at load {load}",
        [fair["throughput"] / fifo["throughput"]],
        goal=0.97,
        better="higher",
        conditions=f"{size}; {fair['switches_a_job']:.2f} claims a job",
    )
    for tier in TIERS:
        yield figure(
            f"p99 wait of {tier} at load {load} (s)",
            [fair["p99_wait"][tier]],
            conditions=f"{size}; first come, first served: {fifo['p99_wait'][tier]:.1f} s",
        )


def _parts(options: argparse.Namespace) -> list[range]:
    """Returns the seeds in parts, which do not depend on how many of them there are."""
    return [
        range(start, min(start + SEEDS_OF_A_PART, options.schedules))
        for start in range(0, options.schedules, SEEDS_OF_A_PART)
    ]


def _run(module: str, *arguments: object) -> None:
    """Runs a module of scripts/."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    subprocess.run(command, cwd=SCRIPTS, check=True)


if __name__ == "__main__":
    main()
