"""The movement in pictures that a sound belongs to, and how well a sound fits it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from telecine.media.picture_signals import (
    NUM_PATH_POINTS,
    SmallPictures,
    impact_times,
    mouth_openness,
)
from telecine.media.sound import Sound
from telecine.media.transcoder import Frames
from telecine.media.voice import ENVELOPE_RATE, Signal, envelope, onsets

MovementSource = Literal["mouth", "impacts"]

_STEP_SECONDS = 1 / ENVELOPE_RATE
_IMPACT_SECONDS = 0.012
_MIN_IMPACTS = 2
# Less of the video than that beside the sound tells nothing.
_SMALLEST_OVERLAP = 0.5


@dataclass(frozen=True)
class Movement:
    """What moves.

    Attributes:
        signal: how far a mouth is open, or pulses at impacts.
        times: the moments of its values, in seconds.
        source: which of the two it is.
    """

    signal: Signal
    times: Signal
    source: MovementSource


def look_at(frames: Frames | SmallPictures, fps: Fraction | int) -> Movement | None:
    """Returns what moves in frames [T, H, W, 3] uint8; None where neither kind is found."""
    if isinstance(frames, np.ndarray):
        pictures = SmallPictures()
        pictures.add(frames)
        frames = pictures
    small, rate = frames.frames, float(fps)
    opened = mouth_openness(small)
    if opened is not None:
        return Movement(opened, np.arange(len(small)) / rate, "mouth")
    impacts = impact_times(small) / rate
    if len(impacts) < _MIN_IMPACTS:
        return None
    # None is found close to either end.
    unseen = NUM_PATH_POINTS / rate
    times = np.arange(unseen, len(small) / rate - unseen, _STEP_SECONDS)
    pulses = np.exp(-0.5 * ((times[:, None] - impacts) / _IMPACT_SECONDS) ** 2).sum(axis=1)
    return Movement(pulses, times, "impacts")


def heard_beside(seen: Movement, sound: Sound) -> Signal:
    """Returns what of a sound is compared with a movement, ENVELOPE_RATE values a second."""
    if seen.source == "mouth":
        return envelope(sound)
    reach = round(3 * _IMPACT_SECONDS / _STEP_SECONDS)
    steps = np.arange(-reach, reach + 1) * _STEP_SECONDS
    return np.convolve(onsets(sound), np.exp(-0.5 * (steps / _IMPACT_SECONDS) ** 2), mode="same")


def correlation(seen: Movement, heard: Signal, offset: float) -> float:
    """How alike both are where they lie beside each other, at most 1; 0 where too little does.

    Args:
        seen: the movement.
        heard: what goes with it: see heard_beside.
        offset: by how many seconds what is heard is late.
    """
    places = (seen.times + offset) * ENVELOPE_RATE - 0.5
    is_beside = (places >= -0.5) & (places <= len(heard) - 0.5)
    if not is_beside.size or is_beside.mean() < _SMALLEST_OVERLAP:
        return 0.0
    there = np.interp(places[is_beside], np.arange(len(heard)), heard)
    there, here = there - there.mean(), seen.signal[is_beside] - seen.signal[is_beside].mean()
    size = float(np.sqrt((here**2).sum() * (there**2).sum()))
    return float((here * there).sum()) / size if size > 1e-9 else 0.0
