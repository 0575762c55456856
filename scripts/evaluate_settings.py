"""Judges the built-in model under each of its settings, on combinations that were trained.

python scripts/evaluate_settings.py [--count 100] [--only NAME ...] [--write]

Every sampler at its own number of steps, few steps with and without the adapter that was trained
for them, realtime, and captions with synonyms; how long a clip takes stands beside each.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from telecine.engine.adapters.use import LoraUse
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.samplers import SAMPLERS
from train.accuracy import (
    ATTRIBUTES,
    SEED,
    Row,
    Wording,
    accuracies,
    draw_captions,
    make_clips,
)
from train.captions import rich_caption
from train.few_steps import NAME, NUM_STEPS
from train.figures import Figure, add_figures
from train.generate import Generator, Settings
from train.world import caption

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "docs" / "benchmarks" / "toybox_settings.json"
STEPS_OF_SAMPLERS = {
    "euler_ancestral": 20,
    "euler": 20,
    "heun": 10,
    "rk4": 5,
    "unipc": 12,
    "ddim": 30,
    "ddpm": 50,
}
GOAL = 0.90
TIMED_CLIPS = 5
SECONDS_GOAL = 3.0


class _Case(NamedTuple):
    settings: Settings
    word: Wording = caption
    goal: float | None = GOAL


def _cases() -> dict[str, _Case]:
    few = Settings(sampler="euler", num_inference_steps=NUM_STEPS)
    adapter = Settings(
        num_inference_steps=NUM_STEPS, guidance_scale=1.0, loras=(LoraUse(NAME, 1.0),)
    )
    return {
        **{
            f"{sampler}, {steps} steps": _Case(Settings(sampler=sampler, num_inference_steps=steps))
            for sampler, steps in STEPS_OF_SAMPLERS.items()
        },
        f"euler, {NUM_STEPS} steps": _Case(few, goal=None),
        f"{NUM_STEPS} steps, adapter {NAME}, no guidance": _Case(adapter),
        "realtime, 20 steps a chunk": _Case(Settings(attention="causal")),
        "synonyms, 20 steps": _Case(Settings(), rich_caption),
    }


def main() -> None:
    """Read the command line, judge each setting, write the results."""
    assert set(STEPS_OF_SAMPLERS) == set(SAMPLERS)
    cases = _cases()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILT_IN_WEIGHTS / "toybox")
    parser.add_argument("--count", type=int, default=100, help="captions of each setting")
    parser.add_argument("--only", nargs="*", choices=tuple(cases), default=tuple(cases))
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    options = parser.parse_args()
    table = Table("", *ATTRIBUTES, "all four", "seconds a clip")
    figures: list[Figure] = []
    for name in options.only:
        row = _judged(name, cases[name], options)
        seconds = list(_timed(cases[name], options.weights))
        values = (*row.accuracies, statistics.median(seconds))
        table.add_row(name, *(f"{value:.2f}" for value in values))
        figures += [*_accuracy_figures(row, cases[name]), _seconds_figure(row, seconds)]
    Console().print(table)
    if options.write:
        add_figures(PATH, figures)


def _judged(name: str, case: _Case, options: argparse.Namespace) -> Row:
    prompts = draw_captions(options.count, is_held_out=False, word=case.word)
    with tempfile.TemporaryDirectory() as folder:
        videos = make_clips(prompts, options.weights, case.settings, Path(folder))
        return Row(name, accuracies(prompts, videos), len(prompts))


def _timed(case: _Case, weights: Path) -> Iterator[float]:
    """Seconds of each of some clips, from the prompt to the frames, on all cores."""
    generator = Generator(weights)
    for index, (_, prompt) in enumerate(draw_captions(TIMED_CLIPS + 1, is_held_out=False)):
        start = time.perf_counter()
        generator.frames(prompt, SEED + index, case.settings)
        if index:
            yield time.perf_counter() - start


def _accuracy_figures(row: Row, case: _Case) -> Iterator[Figure]:
    guidance = case.settings.guidance_scale
    for name, value in zip((*ATTRIBUTES, "all four"), row.accuracies, strict=True):
        yield {
            "metric": f"{row.name}: {name}",
            "value": round(value, 4),
            "goal": None if name == "all four" else case.goal,
            "better": "higher",
            "spread": round(row.spread(value), 4),
            "conditions": f"{row.count} clips, guidance {guidance}, judged from the decoded MP4",
        }


def _seconds_figure(row: Row, seconds: list[float]) -> Figure:
    return {
        "metric": f"{row.name}: seconds a clip",
        "value": round(statistics.median(seconds), 3),
        "goal": SECONDS_GOAL,
        "better": "lower",
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        "conditions": f"in process, {torch.get_num_threads()} threads, {len(seconds)} clips",
    }


if __name__ == "__main__":
    main()
