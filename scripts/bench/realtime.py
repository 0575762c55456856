"""What a viewer waits for: a realtime video's first frames, against a standard one of its length.

python scripts/bench/realtime.py [--quick] [--steps 20] [--frames 97] [--repeats 5] [--threads 1]
"""

import argparse
import itertools
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from report import Figure, figure, print_table, write_report
from whole_service import whole_service

from telecine.client import Client
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.v1 import video_pb2

MODEL = "toybox"
FPS = 16


@dataclass
class Follower:
    """A viewer: when how much of a video's file had come, in seconds from `start`."""

    start: float
    arrivals: list[tuple[float, int]] = field(default_factory=list)

    def follow(self, client: Client, name: str) -> None:
        """Reads a video's file while it is made."""
        size_bytes = 0
        for data in client.read_video(name, follow=True):
            size_bytes += len(data)
            self.arrivals.append((time.perf_counter() - self.start, size_bytes))

    def seconds_until(self, size_bytes: int) -> float:
        """Returns when that much of the file had come."""
        return next(seconds for seconds, size in self.arrivals if size >= size_bytes)


@dataclass(frozen=True)
class Viewed:
    """A video's seconds from its request on.

    Attributes:
        announced: until its first frames were announced; of a standard one, until its end.
        first: until its viewer could show them.
        last: until its viewer had all of it.
        whole: until it had ended.
        longest_gap: between two fragments that follow each other; 0 where there are none.
    """

    announced: float
    first: float
    last: float
    whole: float
    longest_gap: float


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, default=97, help="4k + 1")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the model server's PyTorch")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.frames = 2, 4, 33
    with (
        tempfile.TemporaryDirectory(prefix="telecine-bench-") as folder,
        whole_service(Path(folder), [BUILT_IN_WEIGHTS / MODEL], threads=options.threads) as client,
    ):
        rows = measure(client, options)
    if options.quick:
        print_table("realtime", rows)
    else:
        write_report("realtime", rows)


def measure(client: Client, options: argparse.Namespace) -> list[Figure]:
    """Runs both tiers in turn, in changing order, after one video of each to warm up."""
    tiers = [video_pb2.TIER_REALTIME, video_pb2.TIER_STANDARD]
    seen: dict[int, list[Viewed]] = {tier: [] for tier in tiers}
    for repeat in range(options.repeats + 1):
        for tier in tiers if repeat % 2 else reversed(tiers):
            viewed = view(client, tier, options)
            if repeat:
                seen[tier].append(viewed)
    conditions = (
        f"{MODEL}: {options.frames} frames of 128x128 at {FPS}/s, {options.steps} steps, guidance, "
        f"{options.threads} thread(s), {options.repeats} repeats"
    )
    return figures(seen[tiers[0]], seen[tiers[1]], options.frames, conditions)


def figures(
    realtime: Sequence[Viewed], standard: Sequence[Viewed], num_frames: int, conditions: str
) -> list[Figure]:
    """Returns what a viewer waits for, and what the realtime tier costs the whole video."""
    pairs = list(zip(realtime, standard, strict=True))
    rows = {
        "first frames, realtime over standard": [a.first / b.first for a, b in pairs],
        "whole video, realtime over standard": [a.whole / b.whole for a, b in pairs],
        "realtime: first frames announced, s": [each.announced for each in realtime],
        "realtime: first frames at the viewer, s": [each.first for each in realtime],
        "realtime: whole video, s": [each.whole for each in realtime],
        "realtime: longest gap between fragments, s": [each.longest_gap for each in realtime],
        "standard: first frames at the viewer, s": [each.first for each in standard],
        "standard: whole video, s": [each.whole for each in standard],
    }
    streamed = [num_frames / (each.last - each.first) / FPS for each in realtime]
    return [
        *(figure(metric, samples, conditions=conditions) for metric, samples in rows.items()),
        figure(
            "realtime: frames come over frames shown, from the first on",
            streamed,
            better="higher",
            conditions=conditions,
        ),
    ]


def view(client: Client, tier: video_pb2.Tier.ValueType, options: argparse.Namespace) -> Viewed:
    """Makes one video, with a viewer that follows it."""
    follower = Follower(time.perf_counter())
    created = client.create_video(
        "a red circle moving left on a white background",
        model=f"models/{MODEL}",
        seed=1,
        num_inference_steps=options.steps,
        duration_seconds=options.frames / FPS,
        fps=FPS,
        tier=tier,
    )
    viewing = threading.Thread(target=follower.follow, args=(client, created.name))
    viewing.start()
    events = list(client.watch_video(created.name, is_preview_omitted=True))
    whole = time.perf_counter() - follower.start
    viewing.join()
    video = client.get_video(created.name)
    if video.state != video_pb2.Video.STATE_SUCCEEDED:
        raise RuntimeError(f"{video.name} ended otherwise: {video.failure}")
    assert video.num_frames == options.frames
    return _viewed(created, events, follower, whole)


def _viewed(
    created: video_pb2.Video,
    events: Sequence[video_pb2.VideoEvent],
    follower: Follower,
    whole: float,
) -> Viewed:
    last = follower.arrivals[-1][0]
    shown = [event for event in events if event.fragment_ready.num_frames]
    if not shown:
        return Viewed(announced=whole, first=last, last=last, whole=whole, longest_gap=0.0)
    times = [event.event_time.ToNanoseconds() / 1e9 for event in shown]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    piece = shown[0].fragment_ready
    return Viewed(
        announced=times[0] - created.create_time.ToNanoseconds() / 1e9,
        first=follower.seconds_until(piece.offset + piece.size_bytes),
        last=last,
        whole=whole,
        longest_gap=max(gaps, default=0.0),
    )


if __name__ == "__main__":
    main()
