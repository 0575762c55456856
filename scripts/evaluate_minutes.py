"""Judges toybox's minutes: videos of 60 seconds with window attention, each two seconds of them.

python scripts/evaluate_minutes.py [--count 8] [--write]

Of motions that can go on, bouncing and moving in a circle. The same captions as clips of two
seconds, as long as the training clips, stand beside them.
"""

import argparse
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from telecine.engine.families import BUILT_IN_WEIGHTS
from train.accuracy import ATTRIBUTES
from train.generate import Generator, Settings
from train.judge import Frames, judge
from train.world import Scene, caption, random_scene

DOCS = Path(__file__).resolve().parent.parent / "docs"
GOING_ON = ("bounce", "orbit")
SEED = 30_000
MINUTE, CLIP = 961, 33
"""Frames."""
SHOWN_SECONDS = (0, 8, 16, 24, 32, 40, 48, 56)


@dataclass(frozen=True)
class Judged:
    """One caption's minute and clip: how often each attribute was as the caption says."""

    minute: tuple[float, ...]
    clip: tuple[float, ...]


def main() -> None:
    """Read the command line, make the videos, judge them, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="captions")
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = Generator(BUILT_IN_WEIGHTS / "toybox")
    judged, sheet = [], []
    for index, (scene, prompt) in enumerate(tqdm(captions(options.count))):
        settings = Settings(num_frames=MINUTE, attention="window")
        minute = frames_of(generator, prompt, SEED + index, settings)
        clip = frames_of(generator, prompt, SEED + index, Settings())
        judged.append(Judged(accuracies(minute, scene), accuracies(clip, scene)))
        sheet.append(np.concatenate([minute[16 * second] for second in SHOWN_SECONDS], axis=1))
    rows = report(judged)
    for row in rows:
        print(f"{row['metric']}: {row['value']:.2f} ({row['spread'][0]} to {row['spread'][1]})")
    if options.write:
        (DOCS / "benchmarks" / "minutes.json").write_text(json.dumps(rows, indent=2) + "\n")
        Image.fromarray(np.concatenate(sheet)).save(DOCS / "images" / "minutes.png", optimize=True)


def captions(count: int) -> list[tuple[Scene, str]]:
    """Trained combinations, their motions in turn."""
    generator = torch.Generator().manual_seed(SEED)
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = replace(random_scene(generator), motion=GOING_ON[len(scenes) % len(GOING_ON)])
        if not scene.is_held_out:
            scenes.append(scene)
    return [(scene, caption(scene, generator)) for scene in scenes]


@torch.inference_mode()
def frames_of(generator: Generator, prompt: str, seed: int, settings: Settings) -> Frames:
    """One video, decoded chunk by chunk."""
    latents = generator.latents(prompt, seed, settings)
    chunks = [
        ((chunk[0].permute(1, 2, 3, 0) + 1.0) * 127.5).round().clamp(0, 255).byte().numpy()
        for chunk in generator.vae.decode_chunks(latents)
    ]
    return np.concatenate(chunks)


def accuracies(frames: Frames, scene: Scene) -> tuple[float, ...]:
    """Shares of a video's parts of two seconds that show each attribute, and all four."""
    parts = [frames[start : start + CLIP] for start in range(0, len(frames) - CLIP + 1, CLIP)]
    shown = [judge(part) for part in parts]
    hits = np.array(
        [[getattr(part, name) == getattr(scene, name) for name in ATTRIBUTES] for part in shown]
    )
    return (*hits.mean(0).tolist(), float(hits.all(1).mean()))


def report(judged: list[Judged]) -> list[dict[str, object]]:
    """The mean over the captions, with the worst and the best one."""
    names = (*ATTRIBUTES, "all four")
    conditions = (
        f"{len(judged)} captions, bounce and orbit, 20 Euler steps, guidance 4, judged from "
        "the frames in parts of 33"
    )
    return [
        {
            "metric": f"{what}: {name}",
            "value": round(statistics.mean(values), 4),
            "goal": None,
            "better": "higher",
            "spread": [round(min(values), 4), round(max(values), 4)],
            "conditions": conditions,
        }
        for what, kept in (
            ("a minute with a window", [each.minute for each in judged]),
            ("the same captions, two seconds", [each.clip for each in judged]),
        )
        for name, values in zip(names, zip(*kept, strict=True), strict=True)
    ]


if __name__ == "__main__":
    main()
