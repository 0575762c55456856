"""A cartoon face that says a vowel a few times: its mouth is as open as its voice is loud."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FACE = "face"


@dataclass(frozen=True)
class Vowel:
    """How a vowel looks and sounds."""

    mouth: tuple[float, float]
    """Half the width and half the height of the open mouth, in radii of the head."""
    formants: tuple[float, float, float]
    """Resonances in Hz (Peterson and Barney 1952)."""


VOWELS: dict[str, Vowel] = {
    "ah": Vowel(mouth=(0.36, 0.40), formants=(730.0, 1090.0, 2440.0)),
    "ee": Vowel(mouth=(0.52, 0.15), formants=(270.0, 2290.0, 3010.0)),
    "oh": Vowel(mouth=(0.23, 0.30), formants=(570.0, 840.0, 2410.0)),
    "oo": Vowel(mouth=(0.12, 0.13), formants=(300.0, 870.0, 2240.0)),
}
EYE_RADIUS, EYE_X, EYE_Y = 0.13, 0.38, -0.28
MOUTH_Y = 0.42
FEATURES_COLOUR = 25, 15, 20
_CLOSED_MOUTH = 0.30, 0.03
_RAMP_SHARE = 0.35


@dataclass(frozen=True)
class Syllable:
    """When the mouth begins to open and is closed again, in frames."""

    start: float
    end: float


def random_syllables(num_frames: int, generator: torch.Generator) -> tuple[Syllable, ...]:
    """As many syllables as fit, none of which begins with the clip or outlasts it."""
    last = num_frames - 1.0
    syllables: list[Syllable] = []
    end = 0.0
    while True:
        gap, length = torch.rand(2, generator=generator).tolist()
        start = end + (0.06 + 0.10 * gap) * last
        end = start + (0.10 + 0.07 * length) * last
        if end > 0.97 * last:
            return tuple(syllables)
        syllables.append(Syllable(start, end))


def openness(syllables: tuple[Syllable, ...], moments: Tensor) -> Tensor:
    """How far the mouth is open at moments in frames, 0 to 1."""
    opened = torch.zeros_like(moments)
    for syllable in syllables:
        share = (moments - syllable.start) / (syllable.end - syllable.start)
        ramp = (torch.minimum(share, 1.0 - share) / _RAMP_SHARE).clamp(0.0, 1.0)
        opened += ramp.square() * (3.0 - 2.0 * ramp)
    return opened


def features_distance(
    vowel: str, dx: Tensor, dy: Tensor, *, radius: Tensor, opened: Tensor
) -> Tensor:
    """Signed distance to the nearest of both eyes and the mouth, negative inside."""
    eye_x, eye_y = dx.abs() - EYE_X * radius, dy - EYE_Y * radius
    eyes = (eye_x.square() + eye_y.square()).sqrt() - EYE_RADIUS * radius
    (closed_width, closed_height), (width, height) = _CLOSED_MOUTH, VOWELS[vowel].mouth
    half_width = (closed_width + (width - closed_width) * opened) * radius
    half_height = (closed_height + (height - closed_height) * opened) * radius
    mouth = _ellipse_distance(dx, dy - MOUTH_Y * radius, half_width, half_height)
    return torch.minimum(eyes, mouth)


def _ellipse_distance(dx: Tensor, dy: Tensor, half_width: Tensor, half_height: Tensor) -> Tensor:
    x, y = dx / half_width, dy / half_height
    size = (x.square() + y.square()).sqrt().clamp_min(1e-3)
    slope = ((x / half_width).square() + (y / half_height).square()).sqrt().clamp_min(1e-3)
    return size * (size - 1.0) / slope


def voice_partials(vowel: str, pitch: float) -> list[tuple[float, float]]:
    """The (frequency, amplitude) of each harmonic of a sung vowel; its power is 1/2."""
    harmonics = [pitch * number for number in range(1, int(3500 / pitch) + 1)]
    strengths = [_resonance(frequency, VOWELS[vowel].formants) for frequency in harmonics]
    norm = math.sqrt(sum(strength**2 for strength in strengths))
    return [(f, strength / norm) for f, strength in zip(harmonics, strengths, strict=True)]


def _resonance(frequency: float, formants: tuple[float, float, float]) -> float:
    gains, half_widths = (1.0, 0.6, 0.3), (60.0, 80.0, 120.0)
    return sum(
        gain / math.hypot(1.0, (frequency - formant) / half_width)
        for gain, half_width, formant in zip(gains, half_widths, formants, strict=True)
    )
