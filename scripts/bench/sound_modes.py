"""What sound adds to the time of a clip of toybox, made for the finished picture or along with it.

PYTHONPATH=scripts python scripts/bench/sound_modes.py [--quick] [--repeats 7] [--threads 1]
"""

import argparse
import time

import torch
from report import Figure, figure, print_table, write_report

from telecine.engine.families import BUILT_IN_WEIGHTS
from train.generate import Generator, Settings

PROMPT, SEED = "a red circle bouncing on the floor on a white background", 7
LONGEST_SECONDS = 3.0
SILENT = "silent"
MODES: tuple[str, ...] = (SILENT, "POST_SYNC", "JOINT")


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: short, nothing written")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.quick:
        options.repeats = 2
        print_table("sound_modes", measure(options))
    else:
        write_report("sound_modes", measure(options))


def measure(options: argparse.Namespace) -> list[Figure]:
    """Makes clips of each mode in turn and returns the figures."""
    generator = Generator(BUILT_IN_WEIGHTS / "toybox")
    for mode in MODES:  # what is loaded and planned at the first use
        make(generator, mode)
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(options.repeats):
        for mode in MODES:
            seconds[mode].append(make(generator, mode))
    settings = Settings()
    conditions = (
        f"toybox, {settings.num_frames} frames of {settings.side}x{settings.side}, "
        f"{settings.num_inference_steps} {settings.sampler} steps, guidance "
        f"{settings.guidance_scale:g}, prompt to pixels and waveform in one process, "
        f"{options.threads} thread(s), {options.repeats} repeats in turn"
    )
    figures = [
        figure(f"{mode}: clip, s", seconds[mode], goal=LONGEST_SECONDS, conditions=conditions)
        for mode in MODES
    ]
    for mode in MODES[1:]:
        ratios = [one / other for one, other in zip(seconds[mode], seconds[SILENT], strict=True)]
        figures.append(figure(f"{mode} / silent", ratios, conditions=conditions))
    return figures


def make(generator: Generator, mode: str) -> float:
    """Makes one clip and returns the seconds that it took."""
    start = time.perf_counter()
    if mode == SILENT:
        generator.frames(PROMPT, SEED, Settings())
    else:
        generator.frames_and_sound(PROMPT, SEED, Settings(audio_mode=mode))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
