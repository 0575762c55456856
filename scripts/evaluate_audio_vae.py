"""Judges the audio VAE: sounds that it has not heard, encoded and decoded, and heard again.

Prints a table; `--write` writes docs/benchmarks/audio_vae.json and spectrograms.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from torch import Tensor

from telecine.engine.audio.audio_vae import AudioVAE
from telecine.engine.families import BUILT_IN_WEIGHTS
from train.audio_vae import NUM_LATENTS, load, multi_resolution_error, si_sdr
from train.face import FACE, VOWELS
from train.sound_judge import hear
from train.world import SHAPES, Clip, Scene, random_clip, random_face, random_scene
from train.world_sound import NOTE_SAMPLES, render_sound, sound_events

ROOT = Path(__file__).resolve().parent.parent
FPS, NUM_FRAMES = 16, 33
SEED = 30_000
KINDS = ("tones", "thumps", "voices")
SHOWN = (("star", "bounce"), ("square", "up"), ("triangle", "grow"), (FACE, "ah"))


@dataclass(frozen=True)
class Row:
    """What is left of one kind of sound."""

    kind: str
    si_sdr: float
    stft: float
    gap_seconds: float
    """95th percentile, from each event to the onset heard."""
    timbre: float
    count: int


def main() -> None:
    """Read the command line, judge each kind of sound, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILT_IN_WEIGHTS / "toybox")
    parser.add_argument("--count", type=int, default=64, help="clips of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae = load(options.weights).eval().requires_grad_(requires_grad=False)
    rows = [_judged(vae, kind, options.count) for kind in KINDS]
    _print(rows)
    if options.write:
        _write_json(rows)
        _draw(vae, ROOT / "docs" / "images" / "audio_vae.png")


def _judged(vae: AudioVAE, kind: str, count: int) -> Row:
    generator = torch.Generator().manual_seed(SEED + KINDS.index(kind))
    clips = [_clip(kind, generator) for _ in range(count)]
    truth = torch.stack([_sound(clip) for clip in clips])[:, None]
    again = vae.decode(vae.encode(truth))
    gaps, hits = [], []
    for clip, sound in zip(clips, again[:, 0].numpy(), strict=True):
        heard, events = hear(sound), sound_events(clip, FPS)
        hits.append(heard.timbre == _timbre(clip.scene))
        gaps += [
            abs(onset - event) if len(heard.onsets) == len(events) else np.inf
            for onset, event in zip(heard.onsets, events, strict=False)
        ]
    return Row(
        kind,
        float(si_sdr(again, truth)),
        float(multi_resolution_error(again, truth)),
        float(np.percentile(gaps, 95, method="higher")),
        float(np.mean(hits)),
        count,
    )


def _clip(kind: str, generator: torch.Generator) -> Clip:
    scene = random_scene(generator, held_out=None)
    while kind == "tones" and scene.motion == "bounce":
        scene = random_scene(generator, held_out=None)
    if kind == "voices":
        scene = random_face(generator)
    elif kind == "thumps":
        scene = replace(scene, motion="bounce")
    return random_clip(scene, NUM_FRAMES, generator)


def _sound(clip: Clip) -> Tensor:
    return render_sound(clip, FPS, NUM_LATENTS * NOTE_SAMPLES)


def _timbre(scene: Scene) -> str:
    return scene.motion if scene.shape == FACE else scene.shape


def _print(rows: list[Row]) -> None:
    table = Table("", "SI-SDR, dB", "STFT error", "onsets, p95 ms", "timbre")
    for row in rows:
        gap = f"{1000 * row.gap_seconds:.1f}"
        table.add_row(row.kind, f"{row.si_sdr:.1f}", f"{row.stft:.4f}", gap, f"{row.timbre:.3f}")
    Console().print(table)


def _write_json(rows: list[Row]) -> None:
    conditions = "clips that it was not trained on, mean posterior, float32 on a CPU"
    report = [
        {
            "metric": f"{row.kind}: {name}",
            "value": round(value, 4),
            "goal": goal,
            "better": better,
            "spread": None,
            "conditions": f"{row.count} {conditions}",
        }
        for row in rows
        for name, value, goal, better in (
            ("SI-SDR, dB", row.si_sdr, 10.0, "higher"),
            ("multi-resolution STFT error", row.stft, None, "lower"),
            ("95th percentile from event to onset, ms", 1000 * row.gap_seconds, 60.0, "lower"),
            ("timbre named", row.timbre, None, "higher"),
        )
    ]
    path = ROOT / "docs" / "benchmarks" / "audio_vae.json"
    path.write_text(json.dumps(report, indent=2) + "\n")


def _draw(vae: AudioVAE, path: Path) -> None:
    """Spectrograms up to 4 kHz: truth above, what the VAE gives back below."""
    assert {shape for shape, _ in SHOWN} <= {*SHAPES, FACE}
    assert {motion for shape, motion in SHOWN if shape == FACE} <= set(VOWELS)
    columns = []
    for index, (shape, motion) in enumerate(SHOWN):
        generator = torch.Generator().manual_seed(SEED + 100 + index)
        sound = _sound(random_clip(Scene("red", shape, motion, "white"), NUM_FRAMES, generator))
        again = vae.decode(vae.encode(sound[None, None]))[0, 0]
        pictures = [_titled(_spectrogram(sound), f"{shape}, {motion}")]
        pictures.append(_titled(_spectrogram(again), "after the VAE"))
        columns.append(np.concatenate(pictures, 0))
    picture = Image.fromarray(np.concatenate(columns, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(48).save(path, optimize=True)


def _spectrogram(sound: Tensor) -> NDArray[np.uint8]:
    """Loudness from -70 to -10 dB as light: [160, 209]."""
    window = torch.hann_window(640)
    spectrum = torch.stft(sound, 640, 160, window=window, return_complex=True)[:161]
    decibels = 20 * torch.log10(spectrum.abs() * (2 / window.sum()) + 1e-6)
    light = ((decibels.clamp(-70, -10) + 70) / 60 * 255).byte().flip(0)
    levels: NDArray[np.uint8] = light.numpy()
    return levels


def _titled(levels: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    picture = Image.new("L", (levels.shape[1] + 8, levels.shape[0] + 20), 255)
    picture.paste(Image.fromarray(255 - levels), (4, 16))
    ImageDraw.Draw(picture).text((6, 2), title, fill=0)
    pixels: NDArray[np.uint8] = np.asarray(picture)
    return pixels


if __name__ == "__main__":
    main()
