"""Moves a sound that was made for a picture to where the picture wants it."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from telecine.media.lip_sync import MAX_OFFSET_SECONDS, LipSync, compare, shift
from telecine.media.movement import Movement, correlation, heard_beside, look_at
from telecine.media.picture_signals import SmallPictures
from telecine.media.sound import Samples, Sound
from telecine.media.transcoder import Frames
from telecine.media.voice import (
    ENVELOPE_RATE,
    VOICED_FROM,
    VOICED_TO,
    Segment,
    Signal,
    segments_of,
    voiced_segments,
)

# Less sure than that, nothing is moved as a whole.
_SURE = 0.5
# By how much a more thorough change must fit better than a lesser one.
_WORTH_IT = 0.02
# Twice that far apart, what is seen and what is heard have nothing to do with each other.
_UNMATCHED_COST = MAX_OFFSET_SECONDS / 2
_FEWEST_VALUES = 2
_PAD_SECONDS, _FADE_SECONDS = 0.02, 0.005


def align(
    frames: Frames | SmallPictures, sound: Sound, fps: Fraction | int
) -> tuple[Sound, LipSync]:
    """Returns the sound moved to the picture, and how the two go together then.

    It is moved as a whole, or segment by segment, whichever fits better; where nothing does, or
    nothing is seen that it belongs to, it stays as it is.
    """
    seen = look_at(frames, fps)
    if seen is None:
        return sound, LipSync(0.0, 0.0, "none")
    found = compare(seen, sound)
    best, best_fit = sound, _fit(seen, sound)
    whole = shift(sound, -found.offset_seconds) if found.confidence > _SURE else sound
    for candidate in (whole, retime(seen, whole)):
        fit, fitting = _fit(seen, candidate), compare(seen, candidate)
        if fit > best_fit + _WORTH_IT and fitting.confidence > _SURE:
            best, best_fit, found = candidate, fit, fitting
    return best, found


def retime(seen: Movement, sound: Sound) -> Sound:
    """Returns the sound with each of its segments at the movement that it belongs to.

    Segments keep their order and their pace; one that no movement is near stays where it is.
    """
    segments = voiced_segments(sound)
    moves = _moves(_moments_seen(seen), _moments_heard(seen, sound, segments))
    moved = np.zeros_like(sound.samples)
    for number, (segment, move) in enumerate(zip(segments, moves, strict=True)):
        before = segments[number - 1].end if number else 0.0
        after = segments[number + 1].start if number + 1 < len(segments) else sound.seconds
        start = max(segment.start - _PAD_SECONDS, (segment.start + before) / 2)
        end = min(segment.end + _PAD_SECONDS, (segment.end + after) / 2)
        _add(moved, sound, Segment(start, end), move)
    return Sound(np.clip(moved, -1, 1, out=moved), sound.sample_rate)


def _fit(seen: Movement, sound: Sound) -> float:
    return correlation(seen, heard_beside(seen, sound), 0.0)


def _moments_seen(seen: Movement) -> list[float]:
    """When each of the movements is in its middle."""
    if len(seen.times) < _FEWEST_VALUES:
        return []
    rate, first = 1 / float(seen.times[1] - seen.times[0]), float(seen.times[0])
    segments = segments_of(seen.signal, rate, above=VOICED_FROM, until=VOICED_TO, shortest=0.0)
    return [
        _middle(seen.signal, seen.times, first + segment.start, first + segment.end)
        for segment in segments
    ]


def _moments_heard(seen: Movement, sound: Sound, segments: Sequence[Segment]) -> list[float]:
    """When each segment of a sound is where the middle of its movement belongs."""
    heard = heard_beside(seen, sound)
    times = (np.arange(len(heard)) + 0.5) / ENVELOPE_RATE
    if seen.source == "mouth":
        return [_middle(heard, times, segment.start, segment.end) for segment in segments]
    return [
        _highest(heard, times, segment.start - _PAD_SECONDS, segment.end) for segment in segments
    ]


def _middle(signal: Signal, times: Signal, start: float, end: float) -> float:
    weights = np.where((times >= start) & (times < end), signal, 0)
    return float((weights * times).sum() / max(float(weights.sum()), 1e-12))


def _highest(signal: Signal, times: Signal, start: float, end: float) -> float:
    return float(times[np.argmax(np.where((times >= start) & (times < end), signal, -1))])


def _moves(seen: Sequence[float], heard: Sequence[float]) -> list[float]:
    """Returns by how much each thing heard must be moved to what is seen, in the same order.

    The least moving in all, where what is left without a match costs as much as a long move.
    """
    costs = np.zeros((len(seen) + 1, len(heard) + 1))
    costs[:, 0] = np.arange(len(seen) + 1) * _UNMATCHED_COST
    costs[0] = np.arange(len(heard) + 1) * _UNMATCHED_COST
    for row, moment in enumerate(seen, start=1):
        for column, other in enumerate(heard, start=1):
            costs[row, column] = min(
                costs[row - 1, column - 1] + abs(moment - other),
                costs[row - 1, column] + _UNMATCHED_COST,
                costs[row, column - 1] + _UNMATCHED_COST,
            )
    moves = [0.0] * len(heard)
    row, column = len(seen), len(heard)
    while row and column:
        if costs[row, column] == costs[row, column - 1] + _UNMATCHED_COST:
            column -= 1
        elif costs[row, column] == costs[row - 1, column] + _UNMATCHED_COST:
            row -= 1
        else:
            row, column = row - 1, column - 1
            moves[column] = seen[row] - heard[column]
    return moves


def _add(moved: Samples, sound: Sound, segment: Segment, move: float) -> None:
    """Adds a segment of a sound where it is moved to; it fades in and out."""
    rate, num_samples = sound.sample_rate, moved.shape[1]
    start, end = round(segment.start * rate), min(round(segment.end * rate), num_samples)
    piece = sound.samples[:, start:end].copy()
    length = min(round(_FADE_SECONDS * rate), piece.shape[1] // 2)
    fade = np.linspace(0, 1, length, dtype=np.float32)
    piece[:, :length] *= fade
    piece[:, piece.shape[1] - length :] *= fade[::-1]
    target = start + round(move * rate)
    piece = piece[:, max(0, -target) :]
    target = max(0, target)
    piece = piece[:, : max(0, num_samples - target)]
    moved[:, target : target + piece.shape[1]] += piece
