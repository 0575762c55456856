"""How often generated clips show what their captions say, as the judge reads their files."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from telecine.media.sound import Sound, fit, mono, resample
from telecine.media.track_file import read_track
from telecine.media.transcoder import EncodingOptions, Mp4Writer
from train.generate import Generator, Settings
from train.judge import Frames, judge
from train.sound_judge import Waveform
from train.world import Scene, caption, random_scene
from train.world_sound import SAMPLE_RATE

ATTRIBUTES = ("colour", "shape", "motion", "background")
FPS = 16
SEED = 20_000
Prompts = list[tuple[Scene, str]]
Wording = Callable[[Scene, torch.Generator], str]


@dataclass(frozen=True)
class Row:
    """How often the judge read what the caption said."""

    name: str
    accuracies: tuple[float, ...]
    """Colour, shape, motion, background, and all four together."""
    count: int
    """Clips judged; 0 for chance."""

    def spread(self, accuracy: float) -> float:
        """The standard error of one of the accuracies."""
        return standard_error(accuracy, self.count)


def standard_error(share: float, count: int) -> float:
    """Of a share of so many; 0 where none were counted."""
    return float(np.sqrt(share * (1 - share) / count)) if count else 0.0


def draw_captions(count: int, *, is_held_out: bool, word: Wording = caption) -> Prompts:
    """Scenes and their captions, the same in every run."""
    generator = torch.Generator().manual_seed(SEED + is_held_out)
    scenes = [random_scene(generator, held_out=is_held_out) for _ in range(count)]
    return [(scene, word(scene, generator)) for scene in scenes]


class _Job(NamedTuple):
    prompt: str
    seed: int
    settings: Settings
    path: Path
    track: Tensor | None


def make_clips(
    prompts: Sequence[tuple[object, str]],
    weights: Path,
    settings: Settings,
    folder: Path,
    *,
    tracks: Sequence[Tensor | None] | None = None,
) -> Iterator[Path]:
    """Make the clips in one process a core: small models gain little from a second thread.

    With `tracks`, waveforms [samples] of whole latents, each is made to its own.
    """
    jobs = [
        _Job(prompt, SEED + index, settings, folder / f"{index}.mp4", track)
        for index, ((_, prompt), track) in enumerate(
            zip(prompts, tracks or [None] * len(prompts), strict=True)
        )
    ]
    context = multiprocessing.get_context("spawn")
    with context.Pool(initializer=_open_generator, initargs=(weights,)) as pool:
        yield from pool.imap(_make_clip, jobs)


_generator: Generator


def _open_generator(weights: Path) -> None:
    global _generator  # noqa: PLW0603 - a pool's process has no other place of its own
    torch.set_num_threads(1)
    _generator = Generator(weights)


def _make_clip(job: _Job) -> Path:
    prompt, seed, settings, path, track = job
    writer = Mp4Writer(path, EncodingOptions(fps=settings.fps))
    if track is not None:
        frames = _generator.frames_made_to(track, prompt, seed, settings=settings)
        writer.write(frames.numpy())
        sound = Sound(track[None].numpy(), SAMPLE_RATE)
        writer.add_sound(fit(sound, settings.num_frames, settings.fps))
    elif settings.audio_mode == "NONE":
        writer.write(_generator.frames(prompt, seed, settings).numpy())
    else:
        frames, sound = _generator.frames_and_sound(prompt, seed, settings)
        writer.write(frames.numpy())
        writer.add_sound(sound)
    writer.finish()
    return path


def accuracies(prompts: Prompts, videos: Iterable[Path]) -> tuple[float, ...]:
    """How often the files show what the captions say: see `Row`."""
    hits = []
    for (scene, _), video in tqdm(zip(prompts, videos, strict=True), total=len(prompts)):
        shown = judge(read_frames(video))
        hits.append([getattr(shown, name) == getattr(scene, name) for name in ATTRIBUTES])
    table = np.array(hits)
    return (*table.mean(0).tolist(), float(table.all(1).mean()))


def read_frames(video: Path) -> Frames:
    """A file's frames [T, H, W, 3]."""
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def read_sound(video: Path) -> Waveform:
    """A file's sound [samples] as the judge hears it."""
    samples: Waveform = mono(resample(read_track(video), SAMPLE_RATE)).samples[0]
    return samples


def print_rows(rows: list[Row]) -> None:
    """A table of them."""
    table = Table("", *ATTRIBUTES, "all four")
    for row in rows:
        table.add_row(row.name, *(f"{value:.3f}" for value in row.accuracies))
    Console().print(table)
