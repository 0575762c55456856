"""Runs the job queue under faults in virtual time, seed by seed, and checks it after every event.

python scripts/simulate.py [--seeds 0 300] [--coverage]
python scripts/simulate.py --seed 42          replays one seed and prints its trace
"""

import argparse
import sys
from collections import Counter

from simulation.coverage import missed_places, print_coverage
from simulation.faults import Fault, Place
from simulation.runs import RunResult, run_seeds
from simulation.simulated_redis import SimulatedRedis

_LINES_OF_A_FAILURE = 40


def main() -> None:
    """Reads the command line and runs the seeds; exits 1 where one fails or a place was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 300), metavar=("FROM", "TO"))
    parser.add_argument("--seed", type=int, help="one alone, with its trace")
    parser.add_argument("--coverage", action="store_true", help="print where faults struck")
    options = parser.parse_args()
    one = options.seed is not None
    seeds = range(options.seed, options.seed + 1) if one else range(*options.seeds)
    hits: Counter[tuple[Place, Fault]] = Counter()
    failed, events, ratio = 0, 0, 0.0
    with SimulatedRedis() as redis:
        for result in run_seeds(redis, seeds):
            hits += result.hits
            events += len(result.trace)
            ratio = max(ratio, result.largest_ratio)
            failed += bool(result.violation)
            if one or result.violation:
                _print_run(result, num_lines=None if one else _LINES_OF_A_FAILURE)
    missed = [] if one else missed_places(hits)
    if options.coverage:
        print_coverage(hits)
    print(
        f"{len(seeds)} seeds, {events} events, {hits.total()} faults, {failed} failed, "
        f"{len(missed)} places missed, largest gap {ratio:.3f} of its bound"
    )
    for place in missed:
        print(f"never hit: {place.role} {place.boundary} {place.function}")
    sys.exit(1 if failed or missed else 0)


def _print_run(result: RunResult, *, num_lines: int | None) -> None:
    for line in result.trace[-num_lines if num_lines else 0 :]:
        print(line)
    print(f"seed {result.seed} ({result.trace_digest}): {result.violation or 'all is well'}\n")


if __name__ == "__main__":
    main()
