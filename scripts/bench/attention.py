"""Memory and time of each attention strategy against a video's length, on toybox.

python scripts/bench/attention.py [--quick] [--steps 2] [--repeats 3] [--threads 1]
    [--seconds 2 15 30 60]

Every strategy and length runs in a process of its own. Memory is the peak above the loaded model.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from decode import KEEP_NOTHING, memory_bytes, peak_in_child
from report import Figure, figure, print_table, write_report
from torch import Tensor

from telecine.engine.denoise import SamplingConfig, denoise_slice, initial_state
from telecine.engine.dit.attention import AttentionKind
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config

CPU = torch.device("cpu")
FPS, SIDE = 16, 128
STRATEGIES: tuple[AttentionKind, ...] = get_args(AttentionKind)
PROMPT = "a red circle bouncing on the floor on a white background"


class Memory(NamedTuple):
    """Bytes that a process took at most beyond what it held before, and of the latents."""

    denoise: int
    latents: int


Case = tuple[AttentionKind, int]
"""A strategy, and a length in seconds."""


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: short, nothing written")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=int, nargs="+", default=[2, 15, 30, 60])
    parser.add_argument("--child", choices=("time", "memory"), help=argparse.SUPPRESS)
    parser.add_argument("--strategy", choices=STRATEGIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        torch.set_num_threads(options.threads)
        measure_here = step_seconds if options.child == "time" else peak_memory
        print(json.dumps(measure_here((options.strategy, options.seconds[0]), options.steps)))
        return
    if options.quick:
        options.steps, options.repeats, options.seconds = 1, 1, [1, 2, 8]
        print_table("attention", measure(options))
    else:
        write_report("attention", measure(options))


def measure(options: argparse.Namespace) -> list[Figure]:
    """Runs all strategies and lengths in turn, several times, and returns the figures."""
    cases = list(product(STRATEGIES, options.seconds))
    times: dict[Case, list[float]] = {case: [] for case in cases}
    for _, case in product(range(options.repeats), cases):
        times[case].append(in_child("time", case, options))
    memory = {case: Memory(*in_child("memory", case, options)) for case in cases}
    conditions = (
        f"toybox, {SIDE}x{SIDE} at {FPS}/s, guided, Euler, {options.steps} steps, float32, "
        f"{options.threads} thread(s); CPU seconds of {options.repeats} processes each, "
        f"memory of denoising of another one, of decoding of {options.repeats} ({KEEP_NOTHING})"
    )
    rows = [row for case in cases for row in case_figures(case, times[case], memory[case])]
    short, long = options.seconds[1], options.seconds[-1]
    rows += ratio_figures(times, long) + growth_figures(memory, short, long)
    rows += decode_figures(short, long, options)
    return [replace(row, conditions=conditions) for row in rows]


def case_figures(case: Case, times: list[float], memory: Memory) -> list[Figure]:
    """Time and memory of one strategy at one length."""
    name = "{}, {} s".format(*case)
    return [
        figure(f"{name}: step of the whole video, CPU s", times),
        figure(f"{name}: peak while denoising, MB", [memory.denoise / 1e6]),
    ]


def ratio_figures(times: dict[Case, list[float]], seconds: int) -> list[Figure]:
    """A long video's time, against full attention's in the same round."""
    return [
        figure(
            f"{strategy} / full: step of {seconds} s",
            [a / b for a, b in zip(times[strategy, seconds], times["full", seconds], strict=True)],
        )
        for strategy in STRATEGIES
        if strategy != "full"
    ]


def growth_figures(memory: dict[Case, Memory], short: int, long: int) -> list[Figure]:
    """How memory grows from one length to another."""
    rows = []
    for strategy in STRATEGIES:
        before, after = memory[strategy, short], memory[strategy, long]
        grown = (after.denoise - before.denoise) / (after.latents - before.latents)
        what = f"denoising {long} s against {short} s: bytes more for each byte more of latents"
        rows.append(figure(f"{strategy}, {what}", [grown]))
    latents = memory["window", long].latents
    return [*rows, figure(f"latents of {long} s, MB", [latents / 1e6])]


def decode_figures(short: int, long: int, options: argparse.Namespace) -> list[Figure]:
    """What decoding takes, whatever made the latents: measured as `decode.py` does."""
    sized = argparse.Namespace(size=SIDE, threads=options.threads)
    peaks = [
        [peak_in_child(frames_of(seconds), sized, KEEP_NOTHING) for seconds in (short, long)]
        for _ in range(options.repeats)
    ]
    return [
        figure(f"decoding {long} s: peak, MB", [after / 1e6 for _, after in peaks]),
        figure(f"decoding {long} s / {short} s: peak", [b / a for a, b in peaks], goal=1.05),
    ]


def frames_of(seconds: int) -> int:
    """Frames of a video of that length."""
    return FPS * seconds // 4 * 4 + 1


def in_child(what: str, case: Case, options: argparse.Namespace) -> Any:
    """One measurement in a process of its own."""
    strategy, seconds = case
    # Frees go back to the kernel at once where memory counts, which costs time.
    threshold = {"memory": 1 << 16, "time": 1 << 30}[what]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "MALLOC_MMAP_THRESHOLD_": str(threshold),
        "MALLOC_TRIM_THRESHOLD_": str(threshold),
    }
    command = [sys.executable, __file__, f"--child={what}", f"--strategy={strategy}"]
    command += [f"--seconds={seconds}", f"--steps={options.steps}", f"--threads={options.threads}"]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(answer.stdout)


class Toybox:
    """The built-in model in this process, warm."""

    def __init__(self, strategy: AttentionKind) -> None:
        self.family = load_family(str(BUILT_IN_WEIGHTS / "toybox"))
        encode = PromptEncoder(self.family).encode
        self._prompts = encode(PROMPT), encode("")
        self._denoiser = self.family.load_denoiser(CPU)
        self.denoise(config_of(self.family, strategy, 1, 1))

    def denoise(self, config: SamplingConfig) -> Tensor:
        """All slices of a video: its latents."""
        state = initial_state(config, CPU)
        while state.step_index < config.num_steps:
            steps = denoise_slice(
                self._denoiser,
                *self._prompts,
                config=config,
                state=state,
                num_steps=config.num_inference_steps,
            )
            for step in steps:
                state = step.state
        return state.latents


@torch.inference_mode()
def step_seconds(case: Case, num_steps: int) -> float:
    """CPU seconds of a step of a whole video: of one in every chunk, where it is cut into such."""
    toybox = Toybox(case[0])
    config = config_of(toybox.family, *case, num_steps)
    start = time.process_time()
    toybox.denoise(config)
    return (time.process_time() - start) / num_steps


@torch.inference_mode()
def peak_memory(case: Case, num_steps: int) -> Memory:
    """Denoises a video."""
    toybox = Toybox(case[0])
    config = config_of(toybox.family, *case, num_steps)
    before = begin_peak()
    latents = toybox.denoise(config)
    return Memory(memory_bytes("VmHWM") - before, latents.nbytes)


def config_of(
    family: Family, strategy: AttentionKind, seconds: int, num_steps: int
) -> SamplingConfig:
    """A video of so many seconds."""
    return sampling_config(
        family,
        VideoSize(frames_of(seconds), SIDE, SIDE, FPS),
        SamplingRequest(
            seed=0,
            num_inference_steps=num_steps,
            guidance_scale=4.0,
            sampler="euler",
            attention=strategy,
        ),
    )


def begin_peak() -> int:
    """Returns what the process holds, and makes its peak count from here."""
    Path("/proc/self/clear_refs").write_text("5")  # Linux: 5 resets VmHWM
    return memory_bytes("VmRSS")


if __name__ == "__main__":
    main()
