"""Judges the built-in model on the full world: more frames, speaking faces, two shapes.

python scripts/evaluate_world.py [--count 50] [--only NAME ...] [--write]

Where there is sound, also that: from each mouth that opens to the voice that begins nearest to
it, and from each contact to the nearest thump.
"""

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from telecine.engine.families import BUILT_IN_WEIGHTS
from train.accuracy import SEED, make_clips, read_frames, read_sound, standard_error
from train.captions import any_caption
from train.face_judge import judge_face
from train.figures import Figure, add_figures
from train.generate import Settings
from train.judge import Frames, judge
from train.pair import PairScene, random_pair
from train.pair_judge import judge_pair
from train.sound_score import SoundVerdict, judge_sound, summary
from train.world import Scene, random_clip, random_face, random_scene
from train.world_sound import NOTE_SAMPLES, num_samples_of, render_sound

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "docs" / "benchmarks" / "toybox_world.json"
LONG = Settings(num_frames=49, fps=24)
"""Two seconds at the full world's rate."""
SOUND_GOALS = {"JOINT": 120.0, "POST_SYNC": 500.0}
"""Milliseconds at the 95th percentile."""

AnyScene = Scene | PairScene
Seen = dict[str, bool]
"""What a caption says, and whether the clip shows it."""


class Case(NamedTuple):
    """What is drawn, how it is made, and how it is judged."""

    draw: Callable[[torch.Generator], AnyScene]
    judge: Callable[[AnyScene, Frames], Seen]
    settings: Settings
    goal: float | None = None
    has_track: bool = False
    """Whether it is made to the sound of another clip of the scene, which was drawn."""


def random_bounce(generator: torch.Generator) -> Scene:
    """Draw a shape that bounces: its contacts tell the moment."""
    return replace(random_scene(generator, held_out=None), motion="bounce")


def shape_seen(scene: AnyScene, frames: Frames) -> Seen:
    """A shape's four attributes."""
    assert isinstance(scene, Scene)
    return _same(judge(frames), scene)


def face_seen(scene: AnyScene, frames: Frames) -> Seen:
    """A face's colour and background, and the vowel that its mouth says."""
    assert isinstance(scene, Scene)
    seen = _same(judge_face(frames).scene, scene)
    return {"colour": seen["colour"], "vowel": seen["motion"], "background": seen["background"]}


def pair_seen(scene: AnyScene, frames: Frames) -> Seen:
    """What moves, what stays, and how they stand."""
    assert isinstance(scene, PairScene)
    seen = judge_pair(frames)
    return {
        **_same(seen.moving, scene.moving),
        "still colour": seen.still.colour == scene.colour,
        "still shape": seen.still.shape == scene.shape,
        "relation": scene.relation in seen.relations,
    }


def _same(seen: Scene, scene: Scene) -> Seen:
    names = "colour", "shape", "motion", "background"
    return {name: getattr(seen, name) == getattr(scene, name) for name in names}


_JOINT = Settings(audio_mode="JOINT")
CASES = {
    "one shape, 49 frames": Case(random_scene, shape_seen, LONG, 0.95),
    "a face": Case(random_face, face_seen, Settings(), 0.95),
    "a face, 49 frames": Case(random_face, face_seen, LONG, 0.95),
    "two shapes": Case(random_pair, pair_seen, Settings()),
    "two shapes, 49 frames": Case(random_pair, pair_seen, LONG),
    "a face with joint sound": Case(random_face, face_seen, _JOINT, 0.95),
    "a face with post-sync": Case(random_face, face_seen, Settings(audio_mode="POST_SYNC"), 0.95),
    "a face made to a track": Case(random_face, face_seen, _JOINT, 0.95, has_track=True),
    "a bounce made to a track": Case(random_bounce, shape_seen, _JOINT, has_track=True),
}


def main() -> None:
    """Read the command line, judge each case, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILT_IN_WEIGHTS / "toybox")
    parser.add_argument("--count", type=int, default=50, help="captions of each case")
    parser.add_argument("--only", nargs="*", choices=tuple(CASES), default=tuple(CASES))
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    options = parser.parse_args()
    figures = [
        figure for name in options.only for figure in _judged(name, CASES[name], options=options)
    ]
    table = Table("", "value", "goal")
    for figure in figures:
        table.add_row(figure["metric"], f"{figure['value']:.3f}", str(figure["goal"] or ""))
    Console().print(table)
    if options.write:
        add_figures(PATH, figures)


def _judged(name: str, case: Case, *, options: argparse.Namespace) -> list[Figure]:
    generator = torch.Generator().manual_seed(SEED + 3)
    scenes = [case.draw(generator) for _ in range(options.count)]
    prompts = [(scene, any_caption(scene, generator)) for scene in scenes]
    tracks = [_track(scene, case.settings, generator) for scene in scenes if case.has_track]
    seen, heard = [], []
    with tempfile.TemporaryDirectory() as folder:
        videos = make_clips(
            prompts, options.weights, case.settings, Path(folder), tracks=tracks or None
        )
        for scene, video in tqdm(zip(scenes, videos, strict=True), total=len(scenes)):
            frames = read_frames(video)
            seen.append(case.judge(scene, frames))
            if case.settings.audio_mode != "NONE":
                assert isinstance(scene, Scene)
                heard.append(judge_sound(scene, frames, read_sound(video), case.settings.fps))
    figures = _accuracy_figures(name, case, seen)
    return figures + (_sound_figures(name, case, heard) if heard else [])


def _track(scene: AnyScene, settings: Settings, generator: torch.Generator) -> Tensor:
    """What the scene sounds like at moments that nothing else tells, of whole latents."""
    assert isinstance(scene, Scene)
    clip = random_clip(scene, settings.num_frames, generator)
    num_latents = math.ceil(num_samples_of(settings.num_frames, settings.fps) / NOTE_SAMPLES)
    return render_sound(clip, settings.fps, num_latents * NOTE_SAMPLES)


def _accuracy_figures(name: str, case: Case, seen: list[Seen]) -> list[Figure]:
    hits = {attribute: [one[attribute] for one in seen] for attribute in seen[0]}
    hits["all of it"] = [all(one.values()) for one in seen]
    return [
        {
            "metric": f"{name}: {attribute}",
            "value": round(_share(truths), 4),
            "goal": None if attribute == "all of it" else case.goal,
            "better": "higher",
            "spread": round(standard_error(_share(truths), len(truths)), 4),
            "conditions": _conditions(case, len(seen)),
        }
        for attribute, truths in hits.items()
    ]


def _share(truths: list[bool]) -> float:
    return sum(truths) / len(truths)


def _sound_figures(name: str, case: Case, heard: list[SoundVerdict]) -> list[Figure]:
    gaps = [1000 * gap for verdict in heard for gap in verdict.gaps] or [0.0]
    gap_range = [round(min(gaps), 1), round(max(gaps), 1)]
    return [
        {
            "metric": f"{name}: {figure}",
            "value": round(value, 4),
            "goal": SOUND_GOALS[case.settings.audio_mode] if "95th" in figure else None,
            "better": "lower" if figure.endswith("ms") else "higher",
            "spread": gap_range
            if figure.endswith("ms")
            else round(standard_error(value, len(heard)), 4),
            "conditions": _conditions(case, len(heard)),
        }
        for figure, value in summary(heard).items()
    ]


def _conditions(case: Case, count: int) -> str:
    settings = case.settings
    return (
        f"{count} clips of {settings.num_frames} frames at {settings.fps} a second, "
        f"{settings.num_inference_steps} steps of {settings.sampler}, guidance "
        f"{settings.guidance_scale}, judged from the decoded MP4"
    )


if __name__ == "__main__":
    main()
