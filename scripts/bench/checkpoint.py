"""What a checkpoint costs, how soon a killed worker's video goes on, how soon realtime takes over.

python scripts/bench/checkpoint.py [--quick] [--steps 20] [--repeats 3] [--width 384] [--size 256]
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from chaos_fleet import Fleet
from report import Figure, figure, print_table, write_report
from served_over_bare import SLOW_MODEL, write_slow_model

from telecine.client import Client, UnavailableError
from telecine.config import WorkerSettings
from telecine.v1 import model_pb2, video_pb2

DEFAULTS = WorkerSettings()
PROMPT = "a red circle moving left on a white background"
FRAMES, FPS = 33, 16
SHORT_SLICE = 2
_START_SECONDS = 120.0

Event = video_pb2.VideoEvent


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--width", type=int, default=384, help="of the DiT: sets a step's time")
    parser.add_argument("--size", type=int, default=256, help="pixels of each side")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.width, options.size = 2, 12, 192, 128
    with tempfile.TemporaryDirectory(prefix="telecine-bench-") as folder:
        weights = Path(folder) / SLOW_MODEL
        write_slow_model(weights, options)
        rows = [
            *measure_cost(Path(folder), weights, options),
            *measure_preemption(Path(folder), weights, options),
            *measure_resume(Path(folder), weights, options),
        ]
    if options.quick:
        print_table("checkpoint", rows)
    else:
        write_report("checkpoint", rows)


def measure_cost(folder: Path, weights: Path, options: argparse.Namespace) -> list[Figure]:
    """Measures how much longer the step after a checkpoint takes than one without.

    That is all that a checkpoint costs the device: the writing beside the next slice, the store's
    verdict, and the next slice's request with its state. Slices are short, to see many.
    """
    worker = DEFAULTS.model_copy(update={"slice_steps": SHORT_SLICE})
    within: list[float] = []
    excess: list[float] = []
    with running(folder / "cost", weights, worker=worker) as (_, client):
        make(client, options)  # to warm up
        for _ in range(options.repeats):
            times = step_times(make(client, options))
            plain = [times[k + 1] - times[k] for k in sorted(times) if k % SHORT_SLICE]
            after = [
                times[k + 1] - times[k]
                for k in sorted(times)
                if k % SHORT_SLICE == 0 and k + 1 in times
            ]
            within.extend(plain)
            excess.extend(interval - statistics.median(plain) for interval in after)
    step = statistics.median(within)
    conditions = f"steps of {step:.2f} s, {len(excess)} checkpoints, {state_of(options)}"
    cost = statistics.median(excess)
    low, high = statistics.quantiles(excess, n=20)[0], statistics.quantiles(excess, n=20)[-1]
    share = [100 * seconds / (DEFAULTS.slice_steps * step) for seconds in (low, cost, high)]
    slices = f"slices of {DEFAULTS.slice_steps} steps; lowest and highest: 5th, 95th percentile"
    return [
        figure(
            "checkpoint: share of denoising, %",
            share,
            goal=0.5,
            conditions=f"{conditions}, {slices}",
        ),
        figure(
            "checkpoint: longer step after it, ms",
            [1e3 * seconds for seconds in (low, cost, high)],
            conditions=conditions,
        ),
    ]


def measure_preemption(folder: Path, weights: Path, options: argparse.Namespace) -> list[Figure]:
    """Measures from a realtime request to the moment when the GPU is its own, in steps."""
    worker = DEFAULTS.model_copy(update={"slice_steps": 1})
    latencies: list[float] = []
    with running(folder / "preemption", weights, worker=worker) as (_, client):
        for repeat in range(4 * options.repeats):
            batch = create(client, options, tier=video_pb2.TIER_BATCH, steps=100)
            times = step_times(until_step(client, batch, 3))
            step = statistics.median(b - a for a, b in pairwise(times.values()))
            time.sleep(step * (repeat % 4) / 4)  # at all moments of a step
            urgent = create(client, options, tier=video_pb2.TIER_REALTIME, steps=1)
            running_event = next(
                event
                for event in client.watch_video(urgent)
                if event.state_changed.state == video_pb2.Video.STATE_RUNNING
            )
            asked = client.get_video(urgent).create_time.ToNanoseconds() / 1e9
            latencies.append((at(running_event) - asked) / step)
            client.cancel_video(batch)
            for name in (urgent, batch):
                client.wait_for_video(name)
    conditions = f"slices of one step, {len(latencies)} requests, {state_of(options)}"
    return [
        figure(
            "preemption: longest wait of a realtime request, steps",
            [max(latencies)],
            goal=1.1,
            conditions=conditions,
        ),
        figure("preemption: wait of a realtime request, steps", latencies, conditions=conditions),
    ]


def measure_resume(folder: Path, weights: Path, options: argparse.Namespace) -> list[Figure]:
    """Measures from the kill of a worker to the first step that another one does."""
    noticed: list[float] = []
    resumed: list[float] = []
    redone: list[float] = []
    with running(folder / "resume", weights, worker=DEFAULTS, num_pods=2) as (fleet, client):
        for _ in range(options.repeats):
            name = create(client, options, steps=4 * DEFAULTS.slice_steps)
            before = step_times(until_step(client, name, DEFAULTS.slice_steps + 4))
            holder = next(
                worker.name.removeprefix("workers/")
                for worker in client.list_workers()
                if name in {held.video for held in worker.assignments}
            )
            killed = time.time()
            os.kill(fleet.targets()[holder], signal.SIGKILL)
            noticed.append(at(until_notice(client, name, "WORKER_LOST")) - killed)
            mark = until_notice(client, name, "RESUMED").event_id
            step = next(
                event
                for event in client.watch_video(name, after_event_id=mark)
                if event.HasField("step_finished")
            )
            resumed.append(at(step) - killed)
            redone.append(max(before) - (step.step_finished.step_index - 1))
            client.cancel_video(name)
            client.wait_for_video(name)
            time.sleep(5)  # the killed worker is back
    conditions = (
        f"leases of {DEFAULTS.lease_seconds:g} s, slices of {DEFAULTS.slice_steps} steps, another "
        f"worker idle, {state_of(options)}"
    )
    return [
        figure("killed worker: until it is noticed, s", noticed, conditions=conditions),
        figure("killed worker: until the resumed step, s", resumed, conditions=conditions),
        figure("killed worker: steps done again", redone, conditions=conditions),
    ]


@contextmanager
def running(
    folder: Path, weights: Path, *, worker: WorkerSettings, num_pods: int = 1
) -> Iterator[tuple[Fleet, Client]]:
    """Runs a service and yields it with a client; returns when all of it has ended."""
    folder.mkdir()
    fleet = Fleet(folder, weights, num_pods=num_pods, worker=worker)
    try:
        fleet.start()
        with Client(fleet.address) as client:
            deadline = time.monotonic() + _START_SECONDS
            while not is_ready(client):
                if time.monotonic() > deadline:
                    raise TimeoutError("the service did not come up")
                time.sleep(0.05)
            yield fleet, client
    finally:
        fleet.stop()


def is_ready(client: Client) -> bool:
    """Whether a worker serves the model."""
    try:
        return any(m.state == model_pb2.Model.STATE_READY for m in client.list_models())
    except UnavailableError:
        return False


def create(
    client: Client,
    options: argparse.Namespace,
    *,
    tier: video_pb2.Tier.ValueType = video_pb2.TIER_STANDARD,
    steps: int = 0,
) -> str:
    """Asks for a video and returns its name."""
    return client.create_video(
        PROMPT,
        model=f"models/{SLOW_MODEL}",
        seed=1,
        num_inference_steps=steps or options.steps,
        guidance_scale=4.0,
        duration_seconds=FRAMES / FPS,
        fps=FPS,
        size=(options.size, options.size),
        tier=tier,
    ).name


def make(client: Client, options: argparse.Namespace) -> list[Event]:
    """Makes a video and returns its log."""
    name = create(client, options)
    events = list(client.watch_video(name))
    video = client.get_video(name)
    if video.state != video_pb2.Video.STATE_SUCCEEDED:
        raise RuntimeError(f"{name} ended otherwise: {video.failure}")
    return events


def until_step(client: Client, name: str, step_index: int) -> list[Event]:
    """Returns a video's log up to that step."""
    events: list[Event] = []
    for event in client.watch_video(name):
        events.append(event)
        if event.step_finished.step_index >= step_index:
            break
    return events


def until_notice(client: Client, name: str, reason: str) -> Event:
    """Returns a video's notice of that reason, once it is there."""
    return next(event for event in client.watch_video(name) if event.notice.reason == reason)


def step_times(events: Sequence[Event]) -> dict[int, float]:
    """Returns when each step was finished, in seconds."""
    return {
        event.step_finished.step_index: at(event)
        for event in events
        if event.HasField("step_finished")
    }


def at(event: Event) -> float:
    """Returns when an event happened, in seconds."""
    return event.event_time.ToNanoseconds() / 1e9


def state_of(options: argparse.Namespace) -> str:
    """Says what was made."""
    return f"{FRAMES} frames of {options.size}x{options.size}, DiT of width {options.width}"


if __name__ == "__main__":
    main()
