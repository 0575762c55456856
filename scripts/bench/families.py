"""Open weights' families against the diffusers pipeline: the same folder, prompt and seed.

python scripts/bench/families.py [--quick] [--steps 8] [--repeats 5] [--threads 1]
    [--families wan ltx2 mochi]

A processor with AVX2 alone has a report of its own, families_avx2: its matrix products are another
library's. Small random weights, whose step takes some tenths of a second. Both sides run in turn
in one process (ABBA); memory is measured in a process of its own for each. Times are CPU seconds,
so that what else runs on the machine counts for little. Needs the packages of the extra `dev`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from report import Figure, figure, print_table, write_report

from telecine.engine.linear import HAS_AVX512

PROGRAM = Path(__file__).with_name("families_sides.py")
FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures"
NAME = "families" if HAS_AVX512 else "families_avx2"
FAMILIES = ("wan", "ltx2", "mochi")
TIME_GOAL = 0.75
TOLERANCE = 1e-4


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: short, nothing written")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5, help="videos of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    options = parser.parse_args()
    if options.quick:
        options.steps, options.repeats = 2, 1
    rows = [row for family in options.families for row in measure(family, options)]
    print_table(NAME, rows) if options.quick else write_report(NAME, rows)


def measure(family: str, options: argparse.Namespace) -> list[Figure]:
    """Writes a folder and returns the figures of one family."""
    with tempfile.TemporaryDirectory() as folder:

        def in_child(what: str) -> Any:
            return run_in_child(what, family, folder, options)

        described = in_child("write")
        times = in_child("times")
        memory = {side: in_child(f"memory-{side}") for side in ("ours", "diffusers")}
    conditions = (
        f"{described}, {options.steps} guided Euler steps, float32, {options.threads} thread(s), "
        f"{options.repeats} videos of each side in turn, CPU seconds; memory: one process each"
    )
    rows = [*time_figures(times), *ceiling_figures(times), *memory_figures(memory)]
    return [replace(row, metric=f"{family}: {row.metric}", conditions=conditions) for row in rows]


def time_figures(times: dict[str, Any]) -> list[Figure]:
    """Times of both sides, and how far apart what they make is."""
    ours, theirs = times["ours"], times["diffusers"]

    def ratios(name: str) -> list[float]:
        return [a[name] / b[name] for a, b in zip(ours, theirs, strict=True)]

    return [
        figure("step, ours / diffusers", ratios("step"), goal=TIME_GOAL),
        figure("video, ours / diffusers", ratios("video"), goal=TIME_GOAL),
        figure("time to first frames, ours / diffusers", ratios("first_frames")),
        figure("step, CPU s", [each["step"] for each in ours]),
        figure("diffusers' step, CPU s", [each["step"] for each in theirs]),
        figure("video, CPU s", [each["video"] for each in ours]),
        figure("diffusers' video, CPU s", [each["video"] for each in theirs]),
        figure(
            "largest difference of the last latents, of the largest value",
            [times["difference"]],
            goal=TOLERANCE,
        ),
    ]


def ceiling_figures(times: dict[str, Any]) -> list[Figure]:
    """What a step computes, and how near it comes to its products alone."""
    ceiling = times["ceiling"]
    linear, attention = ceiling["linear_flops"], ceiling["attention_flops"]
    return [
        figure("matrix products of a step, GFLOP", [linear / 1e9]),
        figure("attention of a step, GFLOP", [attention / 1e9]),
        figure("matrix products alone, GFLOP/s", [linear / ceiling["linear_seconds"] / 1e9]),
        figure("attention alone, GFLOP/s", [attention / ceiling["attention_seconds"] / 1e9]),
        figure(
            "share of the ceiling: products and attention alone / step",
            [
                (ceiling["linear_seconds"] + ceiling["attention_seconds"]) / each["step"]
                for each in times["ours"]
            ],
            better="higher",
        ),
    ]


def memory_figures(memory: dict[str, dict[str, int]]) -> list[Figure]:
    """Peaks of a video, above the loaded weights."""
    ours, theirs = memory["ours"]["peak"], memory["diffusers"]["peak"]
    return [
        figure("peak memory of a video, ours / diffusers", [ours / theirs]),
        figure("peak memory of a video, MB", [ours / 1e6]),
        figure("diffusers' peak memory of a video, MB", [theirs / 1e6]),
    ]


def run_in_child(what: str, family: str, folder: str, options: argparse.Namespace) -> Any:
    """One task of `families_sides.py` in a process of its own."""
    path = os.pathsep.join(filter(None, (str(FIXTURES), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": path}
    if what.startswith("memory"):
        environment |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, str(PROGRAM), what, family, folder]
    command += [f"--steps={options.steps}", f"--repeats={options.repeats}"]
    command += [f"--threads={options.threads}"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(answer.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
