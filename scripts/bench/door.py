"""What keys, prices, quotas and rate limits cost a request: gateways with them against one without.

python scripts/bench/door.py [--rounds 7] [--calls 1500]
"""

import argparse
import os
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
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
    account_service_pb2_grpc,
    video_service_pb2,
)

PLAIN, PRICED, KEYED, FULL = "nothing", "prices", "keys", "keys, prices, quotas, rates"
_FREE = "[prices]\ncredits_per_second = 0\n"
_AUTH = "[gateway.auth]\nis_required = true\n"
_QUOTA = """[quota]
monthly_credits = 1000000
daily_credits = 1000000
max_open_videos = 1000000
max_stored_bytes = 1000000000000
credits_per_second = 100000
requests_per_second = 100000
key_credits_per_second = 100000
key_requests_per_second = 100000
"""
# What each gateway's settings add; all are on one Redis.
SIDES: Mapping[str, str] = {
    PLAIN: _FREE,
    PRICED: "",
    KEYED: _FREE + _AUTH,
    FULL: _AUTH + _QUOTA,
}


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1500, help="of each kind in a round")
    options = parser.parse_args()
    with running_sides(max_queued=10 * options.rounds * options.calls) as (redis_url, gateways):
        rows = uvloop.run(measure(redis_url, gateways, options))
    write_report("door", rows)


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    address: str
    pid: int

    def cpu_micros(self) -> float:
        """Returns the CPU time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return 1e6 * ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_sides(*, max_queued: int) -> Iterator[tuple[str, dict[str, Gateway]]]:
    """Yields the URL of a Redis and each side's gateway."""
    with (
        tempfile.TemporaryDirectory(prefix="telecine-bench-") as name,
        RedisServer(Path(name) / "redis") as redis,
        ExitStack() as stack,
    ):
        folder, gateways = Path(name), {}
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
            gateways[side] = Gateway(*stack.enter_context(process))
        yield redis.url, gateways


async def measure(
    redis_url: str, gateways: Mapping[str, Gateway], options: argparse.Namespace
) -> list[Figure]:
    """Puts the same load on every side in turn, round by round."""
    async with AsyncExitStack() as stack:
        redis = connect_redis(redis_url)
        stack.push_async_callback(redis.aclose)
        await ModelDirectory(redis).publish(MODEL, worker_id="bench", ttl_seconds=3600)
        stubs: dict[str, Any] = {}
        for side, gateway in gateways.items():
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(gateway.address))
            stubs[side] = stub_of(channel)
        key = await make_key(gateways[PLAIN].address)
        video = await stubs[PLAIN].CreateVideo(CREATION)
        get = video_service_pb2.GetVideoRequest(name=video.name)
        creations = {
            side: partial(stub.CreateVideo, CREATION, metadata=key) for side, stub in stubs.items()
        }
        looks = {side: partial(stub.GetVideo, get, metadata=key) for side, stub in stubs.items()}
        rounds = Rounds(redis, gateways, options)
        return [
            *figures_of("CreateVideo", await rounds.run(creations), options),
            *figures_of("GetVideo", await rounds.run(looks), options),
        ]


async def make_key(address: str) -> tuple[tuple[str, str], ...]:
    """Returns what calls with a new key carry."""
    request = account_service_pb2.CreateApiKeyRequest(
        api_key=account_pb2.ApiKey(display_name="bench", scopes=["videos:read", "videos:write"])
    )
    async with grpc.aio.insecure_channel(address) as channel:
        accounts: Any = account_service_pb2_grpc.AccountServiceStub(channel)
        key = await accounts.CreateApiKey(request)
    return (("authorization", f"Bearer {key.secret}"),)


@dataclass
class Side:
    """What one gateway did: calls a second, and microseconds a call, its own and those of Redis."""

    rates: list[float] = field(default_factory=list)
    gateway_micros: list[float] = field(default_factory=list)
    redis_micros: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Rounds:
    """Calls all sides in turn."""

    redis: Redis
    gateways: Mapping[str, Gateway]
    options: argparse.Namespace

    async def run(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Side]:
        """Returns what each side did in each round."""
        sides = {name: Side() for name in calls}
        for call in calls.values():
            await calls_per_second(call, self.options.calls // 4)
        for number in range(self.options.rounds):
            # Whoever comes first in a round has no lasting advantage.
            first = number % len(calls)
            for name in [*calls, *calls][first : first + len(calls)]:
                await self._run_side(name, calls[name], sides[name])
        return sides

    async def _run_side(self, name: str, call: Callable[[], Any], side: Side) -> None:
        num_calls, gateway = self.options.calls, self.gateways[name]
        await self.redis.config_resetstat()
        used = gateway.cpu_micros()
        side.rates.append(await calls_per_second(call, num_calls))
        side.gateway_micros.append((gateway.cpu_micros() - used) / num_calls)
        side.redis_micros.append(await micros_in_functions(self.redis) / num_calls)


async def micros_in_functions(redis: Redis) -> float:
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
            show(f"{method}, {name}: CPU of the gateway, µs a call", side.gateway_micros),
            show(f"{method}, {name}: work of Redis, µs a call", side.redis_micros),
        ]
        if name != PLAIN:
            pairs = zip(side.rates, sides[PLAIN].rates, strict=True)
            ratios = [rate / plain for rate, plain in pairs]
            goal = 0.95 if (method, name) == ("CreateVideo", PRICED) else None
            label = f"{method}, {name} / {PLAIN}: calls a second"
            rows.append(show(label, ratios, goal=goal, better="higher"))
    return rows


if __name__ == "__main__":
    main()
