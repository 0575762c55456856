"""Kills and pauses over all processes while videos are made: none lost, none doubled, all the same.

python scripts/bench/chaos.py [--kills 1000] [--seed 1] [--pods 2] [--width 4] [--keep FOLDER]

A fault is SIGKILL, or SIGSTOP for longer than a lease and then SIGCONT. Which process, how and
when is drawn from the seed. One rule is kept: while a video has lost two leases in a row with no
slice finished between, nothing is broken, since the third sets a video aside by design.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from chaos_fleet import LEASE_SECONDS, SLICE_STEPS, Fleet
from chaos_videos import LatentsCollector, Load, Verdict
from redis import Redis
from redis.exceptions import RedisError
from report import Figure, figure, print_table, write_report

from telecine.client import AsyncClient, UnavailableError
from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.dit.model import DiTConfig
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.families.random_weights import write_random_weights
from telecine.engine.vae.causal_vae import CausalVAEConfig
from telecine.jobs.keys import queue_key, video_key
from telecine.v1 import model_pb2

BUILT_IN = BUILT_IN_WEIGHTS / "toybox"
# How often each kind of process is chosen.
WEIGHTS = {"gateway": 15, "worker": 30, "redis": 15, "triton": 8, "stub": 32}
PAUSE_SHARE = 0.4
PAUSE_SECONDS = (1.25 * LEASE_SECONDS, 2 * LEASE_SECONDS)
GAP_SECONDS = (0.3, 3.2)
LOSSES_ALLOWED = 2
LAST_VIDEOS_SECONDS = 300.0
_WAIT_SECONDS = 0.1


@dataclass
class Faults:
    """What was broken, how often."""

    counts: Counter[str] = field(default_factory=Counter)
    held_back_seconds: float = 0.0


class Breaker:
    """Breaks one process after the other."""

    def __init__(self, fleet: Fleet, load: Load, *, random: Random) -> None:
        self.faults = Faults()
        self._fleet = fleet
        self._load = load
        self._random = random
        self._paused: set[int] = set()
        self._pauses: set[asyncio.Task[None]] = set()
        self._redis = Redis.from_url(fleet.redis_url, socket_timeout=1.0)

    async def run(self, num_faults: int) -> None:
        """Makes so many faults, and returns when nothing is paused any more."""
        for number in range(num_faults):
            await asyncio.sleep(self._random.uniform(*GAP_SECONDS))
            await self._until_allowed()
            self._break_one()
            if number % 50 == 49:
                print(f"{number + 1} faults, {dict(self.faults.counts)}", flush=True)
        await asyncio.gather(*self._pauses)
        self._redis.close()

    def _break_one(self) -> None:
        targets: dict[str, dict[str, int]] = {}
        for name, pid in self._fleet.targets().items():
            if pid not in self._paused:
                targets.setdefault(name.split("-")[0], {})[name] = pid
        kinds = sorted(targets)
        (kind,) = self._random.choices(kinds, [WEIGHTS[kind] for kind in kinds])
        name = self._random.choice(sorted(targets[kind]))
        is_pause = self._random.random() < PAUSE_SHARE
        seconds = self._random.uniform(*PAUSE_SECONDS)
        try:
            os.kill(targets[kind][name], signal.SIGSTOP if is_pause else signal.SIGKILL)
        except ProcessLookupError:  # it had ended by itself
            return
        self.faults.counts[f"{kind} {'paused' if is_pause else 'killed'}"] += 1
        if is_pause:
            self._paused.add(targets[kind][name])
            task = asyncio.create_task(self._continue_after(targets[kind][name], seconds))
            self._pauses.add(task)
            task.add_done_callback(self._pauses.discard)

    async def _continue_after(self, pid: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._paused.discard(pid)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return

    async def _until_allowed(self) -> None:
        start = time.monotonic()
        while not await asyncio.to_thread(self._is_allowed):  # noqa: ASYNC110 - videos make it
            await asyncio.sleep(_WAIT_SECONDS)
        self.faults.held_back_seconds += time.monotonic() - start

    def _is_allowed(self) -> bool:
        queue = queue_key("0")
        try:
            losses = [
                self._redis.hget(video_key(queue, name.removeprefix("videos/")), "lost_leases")
                for name in list(self._load.in_flight)
            ]
        except (RedisError, OSError):  # paused, or just killed: then it has to come back first
            return False
        return all(int(lost or 0) < LOSSES_ALLOWED for lost in losses)


def main() -> None:
    """Reads the command line, breaks, judges, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="kills and pauses together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pods", type=int, default=2, help="workers, each with its Triton server")
    parser.add_argument("--width", type=int, default=4, help="videos in flight")
    parser.add_argument("--keep", type=Path, help="where logs and data stay")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # and so is the fleet
    with ExitStack() as stack:
        folder = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="telecine-chaos-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / "weights" / "toybox"
        write_smallest_model(weights)
        fleet = Fleet(folder, weights, num_pods=options.pods)
        stack.callback(fleet.stop)
        fleet.start()
        start = time.monotonic()
        verdict, faults = asyncio.run(reign(fleet, options))
        minutes = (time.monotonic() - start) / 60
    conditions = (
        f"seed {options.seed}, {sum(faults.counts.values())} faults in {minutes:.0f} min: "
        f"{', '.join(f'{count} {name}' for name, count in sorted(faults.counts.items()))}; "
        f"held back {faults.held_back_seconds:.0f} s; {options.pods} workers, each with its "
        f"Triton, leases of {LEASE_SECONDS:g} s, slices of {SLICE_STEPS} steps"
    )
    rows = figures(verdict, faults, conditions)
    if options.kills >= 1000:
        write_report("chaos", rows)
    else:
        print_table("chaos", rows)
    print(conditions)
    if not verdict.is_good:
        sys.exit(f"NOT GOOD: {verdict}")


async def reign(fleet: Fleet, options: argparse.Namespace) -> tuple[Verdict, Faults]:
    """Makes videos and breaks processes side by side; then has everything end in peace."""
    latents = LatentsCollector(fleet.checkpoints)
    async with AsyncClient(fleet.address, timeout_seconds=10.0) as client:
        await until_ready(client)
        collecting = asyncio.create_task(latents.run())
        load = Load(client, latents, random=Random(options.seed), folder=fleet.folder / "differing")
        await load.make_references()
        running = asyncio.create_task(load.run(width=options.width))
        breaker = Breaker(fleet, load, random=Random(options.seed))
        await breaker.run(options.kills)
        load.stop()
        async with asyncio.timeout(LAST_VIDEOS_SECONDS):
            await running
        collecting.cancel()
        return await load.judge(), breaker.faults


async def until_ready(client: AsyncClient) -> None:
    """Returns when the model can be used."""
    async with asyncio.timeout(60.0):
        while True:
            try:
                if [
                    m for m in await client.list_models() if m.state == model_pb2.Model.STATE_READY
                ]:
                    return
            except UnavailableError:
                pass
            await asyncio.sleep(_WAIT_SECONDS)


def figures(verdict: Verdict, faults: Faults, conditions: str) -> list[Figure]:
    """Returns the verdict as figures; what must not be has the goal 0."""
    must_be_none = {
        "videos lost": verdict.lost,
        "videos doubled": verdict.doubled,
        "videos whose MP4 differs": verdict.differing,
        "latents that differ": verdict.differing_latents,
    }
    informs = {
        "faults": sum(faults.counts.values()),
        "videos": verdict.num_videos,
        "videos of more than one attempt": verdict.num_resumed,
        "most attempts of one video": verdict.max_attempt,
        "latents compared": verdict.num_latents,
    }
    return [
        *(
            figure(name, [len(names)], goal=0, conditions=conditions)
            for name, names in must_be_none.items()
        ),
        *(
            figure(name, [count], better="higher", conditions=conditions)
            for name, count in informs.items()
        ),
    ]


def write_smallest_model(folder: Path) -> None:
    """Writes the smallest model of the built-in family, of random numbers but for its voice."""
    channels = CausalVAEConfig().latent_channels
    vae = CausalVAEConfig(
        latent_channels=channels,
        inner_channels=16,
        outer_channels=24,
        head_channels=32,
        num_inner_blocks=1,
        num_outer_blocks=1,
        latents_mean=(0.0,) * channels,
        latents_std=(1.0,) * channels,
    )
    audio = AudioStreamConfig(width=32, num_heads=1)
    dit = DiTConfig(in_channels=channels, width=96, num_blocks=2, num_heads=3, audio=audio)
    write_random_weights(folder, BUILT_IN, dit=dit, vae=vae)
    card = json.loads((BUILT_IN / "model.json").read_text())
    card["limits"]["sizes"] = [{"width": 64, "height": 64}]
    card["defaults"]["size"] = {"width": 64, "height": 64}
    (folder / "model.json").write_text(json.dumps(card))


if __name__ == "__main__":
    main()
