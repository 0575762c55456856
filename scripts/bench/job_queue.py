"""How fast the queue is, beside streaq, SAQ, taskiq and arq on the same Redis.

python scripts/bench/job_queue.py [--jobs 20000] [--rounds 3] [--peers streaq saq taskiq arq]

Every queue runs in an environment of its own under var/bench, made from pinned requirements
(queue_peers/*.txt) when it is missing. Needs a quiet machine.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import redis
import uvloop
from queue_peers.no_op_videos import CAPABILITY, make_submission
from report import Figure, figure, write_report

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import QueueLimits
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "queue_peers"
ENVIRONMENTS = ROOT / "var" / "bench"
OURS = "telecine"
OTHERS = ("streaq", "saq", "taskiq", "arq")
CONCURRENCY = 32
LATENCY_SECONDS = 20.0


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=OTHERS, choices=OTHERS)
    parser.add_argument("--calls", type=int, default=5_000, help="FCALL against XADD, a round")
    options = parser.parse_args()
    for peer in options.peers:
        make_environment(peer)
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        rows = [
            *compare(server.url, options, is_durable=False),
            *compare(server.url, options, is_durable=True),
            *compare_calls(server.url, options, is_durable=False),
            *compare_calls(server.url, options, is_durable=True),
            *uvloop.run(measure_latency(server.url)),
        ]
    write_report("job_queue", rows)


def make_environment(peer: str) -> None:
    """Makes a peer's environment unless it is there as its requirements want it."""
    requirements = PEERS / f"{peer}.txt"
    stamp = ENVIRONMENTS / peer / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    uv = [sys.executable, "-m", "uv"]
    environment = str(ENVIRONMENTS / peer)
    subprocess.run(
        [*uv, "venv", "-q", "--clear", "--python", sys.executable, environment], check=True
    )
    subprocess.run(
        [*uv, "pip", "install", "-q", "-p", environment, "-r", str(requirements)], check=True
    )
    stamp.write_text(digest)


def compare(url: str, options: argparse.Namespace, *, is_durable: bool) -> list[Figure]:
    """Runs all queues in turn, round by round, on the same server."""
    set_durability(url, is_durable=is_durable)
    queues = (OURS, *options.peers)
    rates: dict[str, list[dict[str, float]]] = {queue: [] for queue in queues}
    for number in range(options.rounds):
        for queue in queues if number % 2 == 0 else reversed(queues):
            rates[queue].append(run_queue(queue, url, options.jobs))
    conditions = (
        f"{options.jobs:,} no-op jobs, {CONCURRENCY} callers and holders in one process, "
        f"{options.rounds} rounds, Redis {durability(is_durable=is_durable)}"
    )
    rows = [
        figure(
            f"{queue}, jobs/s {step}, {durability(is_durable=is_durable)}",
            [rate[step] for rate in rates[queue]],
            better="higher",
            conditions=conditions,
        )
        for step in ("submitted", "worked off", "in all")
        for queue in queues
    ]
    return rows + ratio_figures(rates, options.peers, conditions, is_durable=is_durable)


def ratio_figures(
    rates: dict[str, list[dict[str, float]]],
    peers: Sequence[str],
    conditions: str,
    *,
    is_durable: bool,
) -> list[Figure]:
    """Returns our rate over the best of the others, and over arq's."""
    ours = [rate["in all"] for rate in rates[OURS]]
    rows = []
    if fast := [peer for peer in peers if peer != "arq"]:
        best = max(fast, key=lambda peer: statistics.median(r["in all"] for r in rates[peer]))
        ratios = [a / rate["in all"] for a, rate in zip(ours, rates[best], strict=True)]
        name = (
            f"jobs/s in all over the best of {', '.join(fast)}, {durability(is_durable=is_durable)}"
        )
        rows.append(
            figure(
                name, ratios, goal=0.8, better="higher", conditions=f"{conditions}; best: {best}"
            )
        )
    if "arq" in peers:
        ratios = [a / rate["in all"] for a, rate in zip(ours, rates["arq"], strict=True)]
        name = f"jobs/s in all over arq, {durability(is_durable=is_durable)}"
        rows.append(figure(name, ratios, goal=4.0, better="higher", conditions=conditions))
    return rows


def run_queue(queue: str, url: str, num_jobs: int) -> dict[str, float]:
    """Runs one queue on an emptied server; returns its jobs a second."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    python = sys.executable if queue == OURS else str(ENVIRONMENTS / queue / "bin" / "python")
    command = [python, str(PEERS / f"{queue}_peer.py"), url, str(num_jobs), str(CONCURRENCY)]
    answer = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    seconds = json.loads(answer.stdout)
    return {
        "submitted": num_jobs / seconds["submit"],
        "worked off": num_jobs / seconds["work"],
        "in all": num_jobs / (seconds["submit"] + seconds["work"]),
    }


def compare_calls(url: str, options: argparse.Namespace, *, is_durable: bool) -> list[Figure]:
    """Measures calls of functions against plain XADDs, one after another on one connection."""
    set_durability(url, is_durable=is_durable)
    name = durability(is_durable=is_durable)
    samples = uvloop.run(time_calls(url, options.calls, options.rounds))
    goals = {"submit": 0.6 if is_durable else None}
    return [
        figure(
            f"rate of {function} over that of XADD, {name}",
            [xadd / own for xadd, own in zip(samples["XADD"], seconds, strict=True)],
            goal=goals.get(function),
            better="higher",
            conditions=f"{options.calls:,} calls one after another on one connection, through "
            f"JobStore and through redis-py, {options.rounds} rounds, Redis {name}; "
            f"XADD {options.calls / statistics.median(samples['XADD']):,.0f}/s",
        )
        for function, seconds in samples.items()
        if function != "XADD"
    ]


async def time_calls(url: str, num_calls: int, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds that each kind of call took, round by round."""
    client = connect_redis(url)
    await client.flushall()
    store = JobStore(client, limits=QueueLimits(10**9, 10**9, 10**9))
    await store.load_functions()
    numbers = count()
    await store.submit(make_submission(next(numbers)))
    lease = await _claim(store)
    payload = make_submission(0).spec.SerializeToString()
    kinds: dict[str, Callable[[], Awaitable[Any]]] = {
        "XADD": lambda: client.xadd("plain", {"payload": payload}),
        "submit": lambda: store.submit(make_submission(next(numbers))),
        "heartbeat": lambda: store.heartbeat(lease),
    }
    samples: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, call in kinds.items():
            begin = time.perf_counter()
            for _ in range(num_calls):
                await call()
            samples[kind].append(time.perf_counter() - begin)
    await store.close()
    await client.aclose()
    return samples


async def measure_latency(url: str) -> list[Figure]:
    """Measures how long a submit takes, written to disk, at half of what the store can take."""
    set_durability(url, is_durable=True)
    client = connect_redis(url)
    await client.flushall()
    store = JobStore(client, limits=QueueLimits(10**9, 10**9, 10**9))
    await store.load_functions()
    numbers = count()

    async def submit() -> None:
        await store.submit(make_submission(next(numbers)))

    await _submit_in_turn(submit, num_calls=500)
    most = 2_000 / await _submit_in_turn(submit, num_calls=2_000)
    latencies = await _submit_at_rate(submit, rate=most / 2)
    await store.close()
    await client.aclose()
    conditions = (
        f"{LATENCY_SECONDS:.0f} s of a Poisson process at half of the {most:,.0f} submits/s that "
        f"{CONCURRENCY} callers reach, from when a call was due to its answer; "
        f"Redis {durability(is_durable=True)}"
    )
    points = statistics.quantiles(latencies, n=100)
    return [
        figure(f"durable submit at half load, {name} (ms)", [1000 * value], conditions=conditions)
        for name, value in (("p50", points[49]), ("p99", points[98]))
    ]


async def _submit_in_turn(submit: Callable[[], Awaitable[None]], *, num_calls: int) -> float:
    numbers = iter(range(num_calls))

    async def caller() -> None:
        for _ in numbers:
            await submit()

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
    return time.perf_counter() - begin


async def _submit_at_rate(submit: Callable[[], Awaitable[None]], *, rate: float) -> list[float]:
    """Returns the seconds from when each call was due to its answer."""
    random, latencies = Random(0), list[float]()
    begin = due = time.perf_counter()

    async def call(due: float) -> None:
        await submit()
        latencies.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        while due < begin + LATENCY_SECONDS:
            due += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(call(due))
    return latencies


async def _claim(store: JobStore) -> Any:
    assignment = await store.claim(
        "bench", capability=CAPABILITY, slice_steps=1, lease_seconds=3600.0
    )
    if assignment is None:
        raise RuntimeError("the store has lost a video that was just submitted")
    return assignment.lease


def set_durability(url: str, *, is_durable: bool) -> None:
    """Makes the server write every change to disk before its answer, or none at all."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.config_set("appendonly", "yes" if is_durable else "no")
        while client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.05)


def durability(*, is_durable: bool) -> str:
    """Returns what it is called in the report."""
    return "with every write on disk" if is_durable else "in memory"


if __name__ == "__main__":
    main()
