"""What prices, quotas and rate limits cost a request: gateways with them against one without.

python scripts/bench/door.py [--rounds 7] [--calls 1500]
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import uvloop
from gateway_loads import CREATION, MODEL, calls_per_second, stub_of
from gateway_processes import running_process
from redis.asyncio import Redis
from report import Figure, figure, write_report

from telecine.jobs.model_directory import ModelDirectory
from telecine.jobs.redis_client import connect_redis
from telecine.jobs.redis_server import RedisServer
from telecine.v1 import video_service_pb2

PLAIN, PRICED, LIMITED = "no prices", "prices", "prices, quotas, rate limits"
# What each gateway's settings add; all are on one Redis. A side that asks who calls goes here too.
SIDES: Mapping[str, str] = {
    PLAIN: "[prices]\ncredits_per_second = 0\n",
    PRICED: "",
    LIMITED: """[quota]
monthly_credits = 1000000
daily_credits = 1000000
max_open_videos = 1000000
max_stored_bytes = 1000000000000
credits_per_second = 100000
requests_per_second = 100000
key_credits_per_second = 100000
key_requests_per_second = 100000
""",
}


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1500, help="of each kind in a round")
    options = parser.parse_args()
    with running_sides(max_queued=10 * options.rounds * options.calls) as (redis_url, addresses):
        rows = uvloop.run(measure(redis_url, addresses, options))
    write_report("door", rows)


@contextmanager
def running_sides(*, max_queued: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields the URL of a Redis and the address of each side's gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="telecine-bench-") as name,
        RedisServer(Path(name) / "redis") as redis,
        ExitStack() as stack,
    ):
        folder, addresses = Path(name), {}
        for number, (side, added) in enumerate(SIDES.items()):
            settings = folder / f"{number}.toml"
            settings.write_text(
                f'[gateway]\naddress_file = "{folder / str(number)}"\n'
                f'[redis]\nurl = "{redis.url}"\n'
                f'[storage]\nurl = "{folder / "objects"}"\n'
                f"[queue]\nmax_queued = {max_queued}\nmax_queued_per_tenant = {max_queued}\n{added}"
            )
            command = [sys.executable, "-m", "telecine.cli", "gateway", "--settings", str(settings)]
            process = running_process(command, folder / str(number))
            addresses[side], _ = stack.enter_context(process)
        yield redis.url, addresses


async def measure(
    redis_url: str, addresses: Mapping[str, str], options: argparse.Namespace
) -> list[Figure]:
    """Puts the same load on every side in turn, round by round."""
    async with AsyncExitStack() as stack:
        redis = connect_redis(redis_url)
        stack.push_async_callback(redis.aclose)
        await ModelDirectory(redis).publish(MODEL, worker_id="bench", ttl_seconds=3600)
        stubs: dict[str, Any] = {}
        for side, address in addresses.items():
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            stubs[side] = stub_of(channel)
        video = await stubs[PLAIN].CreateVideo(CREATION)
        get = video_service_pb2.GetVideoRequest(name=video.name)
        creations = {side: partial(stub.CreateVideo, CREATION) for side, stub in stubs.items()}
        looks = {side: partial(stub.GetVideo, get) for side, stub in stubs.items()}
        return [
            *figures_of("CreateVideo", await run_rounds(redis, creations, options), options),
            *figures_of("GetVideo", await run_rounds(redis, looks, options), options),
        ]


@dataclass
class Side:
    """What one gateway did: calls a second, and what a call took of Redis, in microseconds."""

    rates: list[float] = field(default_factory=list)
    redis_micros: list[float] = field(default_factory=list)


async def run_rounds(
    redis: Redis, calls: Mapping[str, Callable[[], Any]], options: argparse.Namespace
) -> dict[str, Side]:
    """Returns what each side did in each round."""
    sides = {name: Side() for name in calls}
    for call in calls.values():
        await calls_per_second(call, options.calls // 4)
    for number in range(options.rounds):
        # Whoever comes first in a round has no lasting advantage.
        first = number % len(calls)
        for name in [*calls, *calls][first : first + len(calls)]:
            await redis.config_resetstat()
            sides[name].rates.append(await calls_per_second(calls[name], options.calls))
            sides[name].redis_micros.append(await micros_in_redis(redis) / options.calls)
    return sides


async def micros_in_redis(redis: Redis) -> float:
    """Returns how long Redis has worked at functions since its statistics were reset."""
    statistics = await redis.info("commandstats")
    return sum(float(of["usec"]) for name, of in statistics.items() if name.startswith("cmdstat_f"))


def figures_of(method: str, sides: Mapping[str, Side], options: argparse.Namespace) -> list[Figure]:
    """Returns what each side costs over the plain one, and its rates."""
    conditions = (
        f"64 calls at once from one process, {options.calls} calls a round, {options.rounds} "
        "rounds, one Redis with appendfsync always"
    )
    show = partial(figure, conditions=conditions)
    rows = []
    for name, side in sides.items():
        rows += [
            show(f"{method}, {name}: calls a second", side.rates, better="higher"),
            show(f"{method}, {name}: work of Redis, µs a call", side.redis_micros),
        ]
        if name != PLAIN:
            pairs = list(zip(side.rates, sides[PLAIN].rates, strict=True))
            ratios = [rate / plain for rate, plain in pairs]
            added = [1e6 / rate - 1e6 / plain for rate, plain in pairs]
            goal = 0.95 if (method, name) == ("CreateVideo", PRICED) else None
            against = f"{method}, {name} against {PLAIN}"
            rows += [
                show(f"{against}: share of its calls a second", ratios, goal=goal, better="higher"),
                show(f"{against}: more µs a call", added),
            ]
    return rows


if __name__ == "__main__":
    main()
