"""Measures the fairness of many seeded schedules with kills, and of unfair orders beside it.

python -m simulation.schedules FROM TO CONTROL_EVERY FILE (in scripts/) adds a line of JSON for each
seed that FILE does not hold; one seed in CONTROL_EVERY is also run in the unfair orders.
"""

import json
import sys
from pathlib import Path

from simulation.orders import Order
from simulation.runs import run_crowd
from simulation.simulated_redis import SimulatedRedis


def main() -> None:
    """Reads the command line, runs each seed."""
    first, last, control_every = (int(argument) for argument in sys.argv[1:4])
    file = Path(sys.argv[4])
    known = file.read_text().splitlines() if file.exists() else []
    done = {json.loads(line)["seed"] for line in known}
    with SimulatedRedis() as redis, file.open("a") as output:
        for seed in sorted(set(range(first, last)) - done):
            orders = Order if seed % control_every == 0 else [Order.FAIR]
            results = {order: run_crowd(redis, seed, order=order) for order in orders}
            fair = results[Order.FAIR]
            line = {
                "seed": seed,
                "violation": fair.violation,
                "faults": fair.hits.total(),
                "ratios": {order: result.largest_ratio for order, result in results.items()},
            }
            print(json.dumps(line), file=output, flush=True)


if __name__ == "__main__":
    main()
