"""Judges the built-in model: makes clips from captions, reads the MP4 files, names what they show.

Prints a table and writes docs/benchmarks/toybox.json and a contact sheet of real
outputs. Chance and an untrained twin of the model stand beside the result. `--audio` judges
the sound instead, beside what is seen in the same files, and writes docs/benchmarks/sound.json.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from telecine.client import Client
from telecine.engine.dit.attention import AttentionKind
from telecine.engine.dit.model import DiTConfig
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.families.random_weights import write_random_weights
from telecine.engine.samplers import SAMPLERS
from telecine.engine.vae.causal_vae import CausalVAEConfig
from telecine.media.post_sync import align
from telecine.media.sound import Sound
from telecine.v1 import video_pb2
from train.accuracy import (
    ATTRIBUTES,
    FPS,
    SEED,
    Prompts,
    Row,
    accuracies,
    draw_captions,
    make_clips,
    print_rows,
    read_frames,
    read_sound,
)
from train.figures import Figure, add_figures
from train.generate import Settings
from train.judge import Frames
from train.sound_judge import SAMPLE_RATE
from train.sound_score import SoundVerdict, judge_sound, summary
from train.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, caption, random_scene

ROOT = Path(__file__).resolve().parent.parent
CHANCE = (1 / len(COLOURS), 1 / len(SHAPES), 1 / len(MOTIONS), 1 / len(BACKGROUNDS))
AUDIO_MODES: dict[str, Literal["JOINT", "POST_SYNC"]] = {
    "joint": "JOINT",
    "post-sync": "POST_SYNC",
}
_WITH_GOAL = "trained combinations", "combinations never trained"
SOUND_GOALS = {
    ("joint", "95th percentile of gaps, ms"): 120.0,
    ("post-sync", "95th percentile of gaps, ms"): 500.0,
    ("post-sync, synchronised", "95th percentile of gaps, ms"): 120.0,
}


def main() -> None:
    """Read the command line, make the clips, judge them, write the results."""
    options = _parse()
    settings = Settings(
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        sampler=options.sampler,
        attention=options.attention,
    )
    if options.audio:
        _judge_sounds(options, replace(settings, audio_mode=AUDIO_MODES[options.audio]))
        return
    seen = draw_captions(options.count, is_held_out=False)
    unseen = draw_captions(options.count, is_held_out=True)
    with tempfile.TemporaryDirectory() as folder:
        make = _maker(options, settings, Path(folder))
        rows = [
            Row("trained combinations", accuracies(seen, make(seen)), len(seen)),
            Row("combinations never trained", accuracies(unseen, make(unseen)), len(unseen)),
        ]
        if options.realtime and not options.server:
            few = seen[: options.realtime]
            causal = replace(settings, attention="causal")
            videos = make_clips(few, options.weights, causal, Path(folder))
            rows.append(Row("realtime, trained combinations", accuracies(few, videos), len(few)))
        if options.twin and not options.server:
            twin = _untrained_twin(Path(folder))
            few = seen[: options.twin]
            videos = make_clips(few, twin, settings, Path(folder))
            rows.append(Row("untrained twin", accuracies(few, videos), len(few)))
        rows.append(Row("chance", (*CHANCE, float(np.prod(CHANCE))), 0))
        print_rows(rows)
        if options.write:
            _write_json(rows, options)
            sheet = make(_one_of_each_motion())
            _contact_sheet([read_frames(video) for video in sheet])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILT_IN_WEIGHTS / "toybox")
    parser.add_argument("--server", help="make the clips through a running server, HOST:PORT")
    parser.add_argument("--count", type=int, default=200, help="captions of each kind")
    parser.add_argument("--twin", type=int, default=50, help="clips of the untrained twin")
    parser.add_argument("--steps", type=int, default=Settings.num_inference_steps)
    parser.add_argument("--guidance", type=float, default=Settings.guidance_scale)
    parser.add_argument("--sampler", choices=tuple(SAMPLERS), default=Settings.sampler)
    parser.add_argument("--attention", choices=get_args(AttentionKind), default="full")
    parser.add_argument("--realtime", type=int, default=0, help="clips made chunk by chunk")
    parser.add_argument("--audio", choices=tuple(AUDIO_MODES), help="judge the sound")
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    return parser.parse_args()


Maker = Callable[[Prompts], Iterator[Path]]


def _one_of_each_motion() -> Prompts:
    generator = torch.Generator().manual_seed(SEED)
    scenes = [replace(random_scene(generator), motion=motion) for motion in MOTIONS]
    return [(scene, caption(scene, generator)) for scene in scenes]


def _maker(options: argparse.Namespace, settings: Settings, folder: Path) -> Maker:
    """A function from captions to MP4 files: made here, or by a server."""
    if options.server:
        client = Client(options.server)
        return lambda prompts: _made_by_server(prompts, client, settings, folder)
    return lambda prompts: make_clips(prompts, options.weights, settings, folder)


def _made_by_server(
    prompts: Prompts, client: Client, settings: Settings, folder: Path
) -> Iterator[Path]:
    for index, (_, prompt) in enumerate(prompts):
        video = client.create_video(
            prompt,
            seed=SEED + index,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            sampler=settings.sampler,
            audio_mode=video_pb2.AudioMode.Value(f"AUDIO_MODE_{settings.audio_mode}"),
        )
        client.wait_for_video(video.name)
        path = folder / f"{index}.mp4"
        client.download_video(video.name, path)
        yield path


def _untrained_twin(folder: Path) -> Path:
    weights = folder / "twin"
    unit = ((0.0,) * CausalVAEConfig.latent_channels, (1.0,) * CausalVAEConfig.latent_channels)
    write_random_weights(
        weights,
        BUILT_IN_WEIGHTS / "toybox",
        dit=DiTConfig(),
        vae=CausalVAEConfig(latents_mean=unit[0], latents_std=unit[1]),
    )
    return weights


def _judge_sounds(options: argparse.Namespace, settings: Settings) -> None:
    """Judge the sound in the files: every second clip bounces, since contacts tell the moment.

    Of a sound made for the finished picture also what lip sync, which a server's has had, makes.
    """
    prompts = _sounding_captions(options.count)
    name = f"{options.audio}, synchronised" if _is_synchronised(options) else options.audio
    verdicts: dict[str, list[SoundVerdict]] = {name: []}
    with tempfile.TemporaryDirectory() as folder:
        videos = _maker(options, settings, Path(folder))(prompts)
        for (scene, _), video in tqdm(zip(prompts, videos, strict=True), total=len(prompts)):
            frames, sound = read_frames(video), read_sound(video)
            verdicts[name].append(judge_sound(scene, frames, sound, FPS))
            if options.audio == "post-sync" and not options.server:
                aligned, _ = align(frames, Sound(sound[None], SAMPLE_RATE), FPS)
                verdict = judge_sound(scene, frames, aligned.samples[0], FPS)
                verdicts.setdefault(f"{name}, synchronised", []).append(verdict)
    table = Table("", *verdicts)
    columns = [summary(some) for some in verdicts.values()]
    for figure in columns[0]:
        table.add_row(figure, *(f"{column[figure]:.3f}" for column in columns))
    Console().print(table)
    if options.write:
        figures = [
            figure
            for name, some in verdicts.items()
            for figure in _sound_figures(name, some, options)
        ]
        add_figures(ROOT / "docs" / "benchmarks" / "sound.json", figures)


def _is_synchronised(options: argparse.Namespace) -> bool:
    return options.audio == "post-sync" and options.server is not None


def _sounding_captions(count: int) -> Prompts:
    generator = torch.Generator().manual_seed(SEED + 2)
    scenes = [random_scene(generator, held_out=None) for _ in range(count)]
    scenes[::2] = [replace(scene, motion="bounce") for scene in scenes[::2]]
    return [(scene, caption(scene, generator)) for scene in scenes]


def _sound_figures(
    name: str, verdicts: list[SoundVerdict], options: argparse.Namespace
) -> list[Figure]:
    gaps = [1000 * gap for verdict in verdicts for gap in verdict.gaps]
    gap_range = [round(min(gaps), 4), round(max(gaps), 4)]
    conditions = (
        f"{len(verdicts)} clips of any combination, half of them bouncing, {options.steps} steps, "
        f"{options.sampler}, guidance {options.guidance}, judged from the decoded MP4"
    )
    return [
        {
            "metric": f"{name}: {figure}",
            "value": round(value, 4),
            "goal": SOUND_GOALS.get((name, figure)),
            "better": "lower" if figure.endswith("ms") else "higher",
            "spread": gap_range
            if figure.endswith("ms")
            else Row(figure, (), len(verdicts)).spread(value),
            "conditions": conditions,
        }
        for figure, value in summary(verdicts).items()
    ]


def _write_json(rows: list[Row], options: argparse.Namespace) -> None:
    goals = (0.95, 0.95, 0.95, 0.95, 0.85)
    conditions = (
        f"{options.steps} steps, {options.sampler}, "
        f"guidance {options.guidance}, judged from the decoded MP4"
    )
    report = [
        {
            "metric": f"{row.name}: {name}",
            "value": round(value, 4),
            "goal": goal if row.name in _WITH_GOAL else None,
            "better": "higher",
            "spread": round(row.spread(value), 4),
            "conditions": f"{row.count} clips, {conditions}",
        }
        for row in rows
        for name, value, goal in zip((*ATTRIBUTES, "all four"), row.accuracies, goals, strict=True)
    ]
    path = ROOT / "docs" / "benchmarks" / "toybox.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")


def _contact_sheet(clips: list[Frames]) -> None:
    """Seven moments of each clip in a row, the clips below each other."""
    rows = []
    for clip in clips:
        moments = np.linspace(0, len(clip) - 1, 7).round().astype(int)
        rows.append(np.concatenate(list(clip[moments]), axis=1))
    path = ROOT / "docs" / "images" / "contact_sheet.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)


if __name__ == "__main__":
    main()
