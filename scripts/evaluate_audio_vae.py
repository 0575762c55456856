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
from telecine.engine.families.toybox import ToyboxFamily
from train.audio_vae import NUM_LATENTS, multi_resolution_error, si_sdr
from train.face import FACE, VOWELS
from train.sound_judge import hear
from train.world import SHAPES, Clip, Scene, random_clip, random_face, random_scene
from train.world_sound import NOTE_SAMPLES, render_sound, sound_events

Floats = NDArray[np.float64]

ROOT = Path(__file__).resolve().parent.parent
FPS, NUM_FRAMES = 16, 33
SEED = 30_000
KINDS = ("tones", "thumps", "voices")
SHOWN = (("star", "bounce"), ("square", "up"), ("triangle", "grow"), (FACE, "ah"))


@dataclass(frozen=True)
class Row:
    """What is left of one kind of sound."""

    kind: str
    si_sdr: Floats
    """Of each clip, in dB."""
    stft: Floats
    gaps: Floats
    """From each event to the onset heard, in ms."""
    timbre: float
    """How often it was named."""


def main() -> None:
    """Read the command line, judge each kind of sound, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=BUILT_IN_WEIGHTS / "toybox")
    parser.add_argument("--count", type=int, default=64, help="clips of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/ as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    vae = ToyboxFamily(options.weights).load_audio_vae(torch.device("cpu"))
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
            min((abs(onset - event) for onset in heard.onsets), default=NUM_FRAMES / FPS)
            for event in events
        ]
    pairs = list(zip(again.split(1), truth.split(1), strict=True))
    return Row(
        kind,
        np.array([float(si_sdr(*pair)) for pair in pairs]),
        np.array([float(multi_resolution_error(*pair)) for pair in pairs]),
        1000 * np.array(gaps),
        float(np.mean(hits)),
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
        table.add_row(
            row.kind,
            f"{row.si_sdr.mean():.1f}",
            f"{row.stft.mean():.4f}",
            f"{np.percentile(row.gaps, 95):.1f}",
            f"{row.timbre:.3f}",
        )
    Console().print(table)


def _write_json(rows: list[Row]) -> None:
    report = [figure for row in rows for figure in _figures(row)]
    path = ROOT / "docs" / "benchmarks" / "audio_vae.json"
    path.write_text(json.dumps(report, indent=2) + "\n")


def _figures(row: Row) -> list[dict[str, object]]:
    count = len(row.si_sdr)
    conditions = f"{count} clips that it was not trained on, mean posterior, float32 on a CPU"
    error = float(np.sqrt(row.timbre * (1 - row.timbre) / count))
    lines = (
        ("SI-SDR, dB", row.si_sdr.mean(), _range(row.si_sdr), 10.0, "higher"),
        ("multi-resolution STFT error", row.stft.mean(), _range(row.stft), None, "lower"),
        (
            "event to onset, 95th percentile, ms",
            np.percentile(row.gaps, 95),
            _range(row.gaps),
            60.0,
            "lower",
        ),
        ("timbre named", row.timbre, error, None, "higher"),
    )
    return [
        {
            "metric": f"{row.kind}: {name}",
            "value": round(float(value), 4),
            "goal": goal,
            "better": better,
            "spread": spread,
            "conditions": conditions,
        }
        for name, value, spread, goal, better in lines
    ]


def _range(values: Floats) -> list[float]:
    return [round(float(values.min()), 4), round(float(values.max()), 4)]


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
