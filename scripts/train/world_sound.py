"""The sound of the built-in model's world: what is seen decides what is heard.

A bounce thumps at each contact and is silent in between; every other motion is one tone,
and a face speaks. The shape decides the timbre, its size the loudness, its height or size
the pitch. Nothing is left to chance, so that a network can learn all of it.

All of it is loudness times notes of 40 ms, whose partials are multiples of 25 Hz and start
at phase 0. So each partial makes whole turns in a note, one note goes over into the next
without a jump, and every note of a pitch is the same samples.
"""

import math
from functools import cache

import torch
from torch import Tensor

from train.face import FACE, VOWELS, openness, voice_partials
from train.world import Clip

SAMPLE_RATE = 16_000
NOTE_SAMPLES = 640
PITCH_STEP = SAMPLE_RATE / NOTE_SAMPLES
LOWEST_PITCH, HIGHEST_PITCH = 150.0, 450.0
THUMP_PITCH = 200.0

TIMBRES: dict[str, tuple[tuple[float, float], ...]] = {
    "circle": ((1.0, 1.0),),
    "square": ((1.0, 1.0), (3.0, 0.8), (5.0, 0.6), (7.0, 0.5)),
    "triangle": ((1.0, 1.0), (2.0, 0.9), (4.0, 0.8)),
    "star": ((1.0, 0.6), (2.76, 1.0), (5.4, 0.8)),
}
"""Partials as (multiple of the pitch, strength): pure, hollow, an organ's octaves, a bell."""

_THUMP_AMPLITUDE, _THUMP_ATTACK_SECONDS, _THUMP_DECAY_SECONDS = 0.55, 0.001, 0.08
_TONE_AMPLITUDE, _TONE_ATTACK_SECONDS = 1.6, 0.005
_VOICE_AMPLITUDE = 0.25
_RADII = 0.09, 0.264


def num_samples_of(num_frames: int, fps: float) -> int:
    """Samples that last as long as the frames are shown."""
    return round(num_frames / fps * SAMPLE_RATE)


def render_sound(clip: Clip, fps: float, num_samples: int | None = None) -> Tensor:
    """Sound a clip: [samples] float32 in [-1, 1], mono, as long as its frames are shown.

    With `num_samples` the sound is that long; what is last seen goes on.
    """
    num_samples = num_samples or num_samples_of(len(clip.radii), fps)
    time = torch.arange(num_samples, dtype=torch.float64) / SAMPLE_RATE
    if clip.scene.shape == FACE:
        return _voice(clip, fps, time).float()
    source = _thumps if clip.scene.motion == "bounce" else _tone
    return source(clip, fps, time).float()


def sound_events(clip: Clip, fps: float) -> list[float]:
    """The moments in seconds at which something must begin to sound."""
    if clip.scene.motion == "bounce":
        return [contact / fps for contact in clip.contacts]
    if clip.scene.shape == FACE:
        return [syllable.start / fps for syllable in clip.syllables]
    return [0.0]


def partials(shape: str, pitch: float) -> list[tuple[float, float]]:
    """The (frequency, amplitude) of each partial of a shape's note; its power is 1/2.

    A vowel in the place of the shape gives a face's note.
    """
    if shape in VOWELS:
        return voice_partials(shape, pitch)
    timbre = TIMBRES[shape]
    norm = math.sqrt(sum(strength**2 for _, strength in timbre))
    return [
        (PITCH_STEP * round(multiple * pitch / PITCH_STEP), strength / norm)
        for multiple, strength in timbre
    ]


def _thumps(clip: Clip, fps: float, time: Tensor) -> Tensor:
    loudness = torch.zeros_like(time)
    for contact in clip.contacts:
        since = (time - contact / fps).clamp_min(0.0)
        attack = (since / _THUMP_ATTACK_SECONDS).clamp_max(1.0)
        loudness += _THUMP_AMPLITUDE * attack * (-since / _THUMP_DECAY_SECONDS).exp()
    return loudness * _held_note(clip.scene.shape, THUMP_PITCH, len(time))


def _tone(clip: Clip, fps: float, time: Tensor) -> Tensor:
    starts = torch.arange(0, len(time), NOTE_SAMPLES, dtype=torch.float64)
    pitches = _pitches(clip, (starts + NOTE_SAMPLES / 2) / SAMPLE_RATE * fps)
    notes = torch.cat([_note(clip.scene.shape, pitch) for pitch in pitches.tolist()])
    attack = (time / _TONE_ATTACK_SECONDS).clamp_max(1.0)
    return attack * _loudness(clip, time * fps) * notes[: len(time)]


@cache
def _note(shape: str, pitch: float) -> Tensor:
    time = torch.arange(NOTE_SAMPLES, dtype=torch.float64) / SAMPLE_RATE
    waves = [
        amplitude * (2 * math.pi * frequency * time).sin()
        for frequency, amplitude in partials(shape, pitch)
    ]
    return torch.stack(waves).sum(0)


def _held_note(shape: str, pitch: float, num_samples: int) -> Tensor:
    return _note(shape, pitch).repeat(-(-num_samples // NOTE_SAMPLES))[:num_samples]


def _voice(clip: Clip, fps: float, time: Tensor) -> Tensor:
    pitch = voice_pitch(float(clip.radii[0]))
    loudness = _VOICE_AMPLITUDE * openness(clip.syllables, time * fps)
    return loudness * _held_note(clip.scene.motion, pitch, len(time))


def voice_pitch(radius: float) -> float:
    """A face's pitch: a large one is deep."""
    return 125.0 + PITCH_STEP * round(3 * (0.34 - radius) / 0.10)


def _pitches(clip: Clip, moments: Tensor) -> Tensor:
    """A pitch for each moment, in frames: high up is high, and so is small."""
    if clip.scene.motion in ("left", "right"):
        share = torch.full_like(moments, 0.5)
    elif clip.scene.motion in ("grow", "shrink"):
        smallest, largest = _RADII
        share = (largest - _seen(clip.radii, moments)) / (largest - smallest)
    else:
        share = 1.0 - _seen(clip.centres[:, 1], moments)
    pitch = LOWEST_PITCH + (HIGHEST_PITCH - LOWEST_PITCH) * share.clamp(0.0, 1.0)
    return PITCH_STEP * (pitch / PITCH_STEP).round()


def _loudness(clip: Clip, moments: Tensor) -> Tensor:
    """An amplitude for each moment: big is loud, and what passes by is loudest in the middle."""
    loudness = _TONE_AMPLITUDE * _seen(clip.radii, moments)
    if clip.scene.motion in ("left", "right"):
        distance = 2 * (_seen(clip.centres[:, 0], moments) - 0.5).abs()
        loudness = loudness * (1.0 - 0.8 * distance)
    return loudness


def _seen(values: Tensor, moments: Tensor) -> Tensor:
    """Values per frame at moments between frames; the last goes on."""
    moments = moments.clamp(0.0, len(values) - 1.0)
    before = moments.floor().long().clamp_max(max(len(values) - 2, 0))
    after = (before + 1).clamp_max(len(values) - 1)
    share = moments - before
    return values[before].double() * (1.0 - share) + values[after].double() * share
