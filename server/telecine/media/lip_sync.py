"""How a voice and the mouth in the picture go together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from telecine.media.movement import (
    Movement,
    MovementSource,
    correlation,
    heard_beside,
    look_at,
)
from telecine.media.picture_signals import SmallPictures
from telecine.media.sound import Sound
from telecine.media.transcoder import Frames
from telecine.media.voice import ENVELOPE_RATE, Signal, Viseme, visemes

__all__ = ["LipSync", "Viseme", "as_json", "compare", "measure", "shift", "visemes"]

MAX_OFFSET_SECONDS = 0.6
_STEP_SECONDS = 1 / ENVELOPE_RATE
# A correlation that chance gives too, and one that only what belongs together has.
_CHANCE, _CERTAIN = 0.9, 0.98
# By how much any other offset must be worse.
_CERTAIN_MARGIN = 0.15
# Of two offsets that fit as well, the smaller one is meant.
_FAR_DISCOUNT = 0.04


@dataclass(frozen=True)
class LipSync:
    """How a sound lies beside the pictures.

    Attributes:
        offset_seconds: by how much what is heard comes after what is seen; negative before it.
        confidence: 0, where nothing was found in one of them or they do not fit, to 1.
        source: what was looked at: a mouth, impacts of a moving shape, or neither.
    """

    offset_seconds: float
    confidence: float
    source: MovementSource | Literal["none"]


_NOTHING = LipSync(0.0, 0.0, "none")


def measure(frames: Frames | SmallPictures, sound: Sound, fps: Fraction | int) -> LipSync:
    """Returns by how much a sound is late for the frames [T, H, W, 3] uint8, within 0.6 s.

    Where a mouth is found, its opening is compared with the loudness of the sound at the moments
    of the frames; else the moments at which a shape hits what is below it with those at which
    something begins to sound. The offset is that of the highest normalised cross-correlation.
    """
    seen = look_at(frames, fps)
    return compare(seen, sound) if seen is not None else _NOTHING


def compare(seen: Movement, sound: Sound) -> LipSync:
    """Returns by how much a sound is late for a movement: see measure."""
    heard = heard_beside(seen, sound)
    num_steps = round(MAX_OFFSET_SECONDS / _STEP_SECONDS)
    offsets = np.arange(-num_steps, num_steps + 1) * _STEP_SECONDS
    scores = np.array([correlation(seen, heard, offset) for offset in offsets])
    weighted = scores * (1 - _FAR_DISCOUNT * np.abs(offsets) / MAX_OFFSET_SECONDS)
    place = int(np.argmax(weighted))
    margin = float(weighted[place] - _next_best(weighted, place))
    fit = (float(scores[place]) - _CHANCE) / (_CERTAIN - _CHANCE)
    confidence = min(1.0, max(0.0, fit)) * min(1.0, max(0.0, margin / _CERTAIN_MARGIN))
    if not confidence:
        return LipSync(0.0, 0.0, seen.source)
    offset = float(offsets[place]) + _between(scores, place)
    return LipSync(offset, confidence, seen.source)


def shift(sound: Sound, seconds: float) -> Sound:
    """Returns the sound that much later, or earlier where negative, and as long as it was."""
    num_samples = sound.samples.shape[1]
    places = round(seconds * sound.sample_rate)
    shifted = np.zeros_like(sound.samples)
    if abs(places) < num_samples:
        kept = num_samples - abs(places)
        shifted[:, max(0, places) :][:, :kept] = sound.samples[:, max(0, -places) :][:, :kept]
    return Sound(shifted, sound.sample_rate)


def as_json(lip_sync: LipSync, shapes: Sequence[Viseme]) -> bytes:
    """Returns what was measured and the shapes of the mouth as a JSON file."""
    document = {
        "offset_seconds": round(lip_sync.offset_seconds, 4),
        "confidence": round(lip_sync.confidence, 4),
        "source": lip_sync.source,
        "visemes": [
            {
                "start_seconds": round(shape.start, 4),
                "end_seconds": round(shape.end, 4),
                "name": shape.name,
            }
            for shape in shapes
        ],
    }
    return json.dumps(document, indent=1).encode()


def _next_best(scores: Signal, place: int) -> float:
    """The highest score outside the hill on which the best one is."""
    start, end = place, place
    while start > 0 and scores[start - 1] <= scores[start]:
        start -= 1
    while end < len(scores) - 1 and scores[end + 1] <= scores[end]:
        end += 1
    return float(np.concatenate([scores[:start], scores[end + 1 :]]).max(initial=0))


def _between(scores: Signal, place: int) -> float:
    """Where between the steps the peak is: the top of a parabola through it and its neighbours."""
    if not 0 < place < len(scores) - 1:
        return 0.0
    before, peak, after = scores[place - 1 : place + 2]
    curve = before - 2 * peak + after
    return float(0.5 * (before - after) / curve * _STEP_SECONDS) if curve < 0 else 0.0
