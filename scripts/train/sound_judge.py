"""The sound's judge: says what is heard, and when, from the waveform alone.

It is exact on rendered truth, and nothing of it is used in training or generation.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from train.face import VOWELS
from train.world_sound import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    PITCH_STEP,
    SAMPLE_RATE,
    THUMP_PITCH,
    TIMBRES,
    partials,
)

Waveform = NDArray[np.float32]
Floats = NDArray[np.float64]

_SILENCE = 0.01
"""Loudness (RMS) below which nothing is heard."""
_HOP, _LEVEL_WINDOW = 40, 256
_LOUD, _QUIET = 0.25, 0.08
"""Shares of the greatest loudness: what passes the first after the second has begun anew."""
_BEGUN = 0.1
_ATTACK_SAMPLES = 800
_SPECTRUM_WINDOW = 1024
_VOICE_PITCHES = (125.0, 150.0, 175.0, 200.0)


@dataclass(frozen=True)
class Heard:
    """What the judge hears."""

    onsets: tuple[float, ...]
    """The seconds at which something begins to sound."""
    timbre: str | None
    """The shape or vowel whose timbre is nearest; None in silence."""

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to hear."""
        return self.timbre is None


def hear(sound: Waveform) -> Heard:
    """Judge a waveform [samples] at 16 kHz."""
    level = _level(sound)
    if level.max(initial=0.0) < _SILENCE:
        return Heard((), None)
    return Heard(_onsets(sound, level), _timbre(sound))


def _level(sound: Waveform) -> Floats:
    """RMS of the window around each hop."""
    half = _LEVEL_WINDOW // 2
    padded = np.pad(sound.astype(np.float64), half)
    powers = np.square(sliding_window_view(padded, _LEVEL_WINDOW)[::_HOP]).mean(1)
    levels: Floats = np.sqrt(powers)
    return levels


def _onsets(sound: Waveform, level: Floats) -> tuple[float, ...]:
    loudest, is_quiet, last_quiet = level.max(), True, 0
    onsets = []
    for index, value in enumerate(level):
        if value < _QUIET * loudest:
            is_quiet, last_quiet = True, index
        elif is_quiet and value >= _LOUD * loudest:
            is_quiet = False
            onsets.append(_begin(sound, last_quiet * _HOP, index * _HOP) / SAMPLE_RATE)
    return tuple(onsets)


def _begin(sound: Waveform, quiet: int, loud: int) -> int:
    """The sample between two at which it becomes as loud as a part of what follows."""
    first = max(0, quiet - _LEVEL_WINDOW // 2)
    attack = np.abs(sound[first : loud + _ATTACK_SAMPLES])
    return first + int((attack >= _BEGUN * attack.max()).argmax())


def _timbre(sound: Waveform) -> str:
    """The name whose spectra, at their best pitch, are the most alike in all loud moments."""
    padded = np.pad(sound.astype(np.float64), (0, max(0, _SPECTRUM_WINDOW - len(sound))))
    windows = sliding_window_view(padded, _SPECTRUM_WINDOW)[:: _SPECTRUM_WINDOW // 2]
    spectra = _spectra(windows)
    sizes = np.linalg.norm(spectra, axis=1)
    is_loud = sizes >= 0.2 * sizes.max()
    spectra = spectra[is_loud] / sizes[is_loud, None]
    alike = {
        name: float((spectra @ templates.T).max(1).sum())
        for name, templates in _templates().items()
    }
    return max(alike, key=lambda name: alike[name])


def _spectra(windows: Floats) -> Floats:
    spectra: Floats = np.abs(np.fft.rfft(windows * np.hanning(_SPECTRUM_WINDOW)))
    return spectra


@cache
def _templates() -> dict[str, Floats]:
    """For each name the spectra of its notes, [pitches, frequencies] of length one."""
    tones = np.arange(LOWEST_PITCH, HIGHEST_PITCH + 1, PITCH_STEP)
    pitches: dict[str, tuple[float, ...]] = {name: tuple(tones) for name in TIMBRES}
    pitches |= dict.fromkeys(VOWELS, _VOICE_PITCHES)
    assert THUMP_PITCH in tones
    return {
        name: np.stack([_template(name, pitch) for pitch in choice])
        for name, choice in pitches.items()
    }


def _template(name: str, pitch: float) -> Floats:
    time = np.arange(_SPECTRUM_WINDOW) / SAMPLE_RATE
    waves = [a * np.sin(2 * math.pi * f * time) for f, a in partials(name, pitch)]
    spectrum = _spectra(np.sum(waves, axis=0)[None])[0]
    return spectrum / np.linalg.norm(spectrum)
