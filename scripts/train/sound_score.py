"""Whether what is heard fits what is seen: the judges of picture and sound side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.face import FACE
from train.face_judge import judge_face
from train.judge import Frames, contacts
from train.sound_judge import Heard, Waveform, hear
from train.world import Scene

SOUNDED_SECONDS = 0.3
"""How late or early a sound may come and still be taken for an event's."""
_EDGE_FRAMES = 3


@dataclass(frozen=True)
class SoundVerdict:
    """What the judges say of one clip."""

    gaps: tuple[float, ...]
    """Seconds from each event seen to the onset nearest to it; in silence the clip's length.

    An event is a contact with the floor, or a mouth that begins to open.
    """
    num_unseen: int
    """Onsets at which no event is seen."""
    has_all_sounded: bool
    """Whether every event has an onset of its own."""
    has_timbre: bool
    """Whether it sounds as the caption's shape, or vowel."""


def judge_sound(scene: Scene, frames: Frames, sound: Waveform, fps: float) -> SoundVerdict:
    """Judge frames [T, H, W, 3] and their sound [samples] at 16 kHz, made for a scene."""
    heard = hear(sound)
    has_timbre = heard.timbre == (scene.motion if scene.shape == FACE else scene.shape)
    if scene.motion != "bounce" and scene.shape != FACE:
        has_begun = bool(heard.onsets) and heard.onsets[0] <= SOUNDED_SECONDS
        return SoundVerdict((), 0, has_begun, has_timbre)
    moments = judge_face(frames).openings if scene.shape == FACE else contacts(frames)
    seen = [moment / fps for moment in moments]
    gaps = tuple(min(_gap(event, heard.onsets), len(frames) / fps) for event in seen)
    return SoundVerdict(
        gaps,
        _num_unseen(seen, heard, len(frames), fps),
        bool(seen) and all(gap <= SOUNDED_SECONDS for gap in gaps),
        has_timbre,
    )


def _gap(event: float, others: Sequence[float]) -> float:
    return min((abs(other - event) for other in others), default=math.inf)


def _num_unseen(seen: Sequence[float], heard: Heard, num_frames: int, fps: float) -> int:
    """Onsets far from every event, the clip's edges aside, where none can be seen."""
    first, last = _EDGE_FRAMES / fps, (num_frames - 1 - _EDGE_FRAMES) / fps
    return sum(
        first <= onset <= last and _gap(onset, seen) > SOUNDED_SECONDS for onset in heard.onsets
    )


def summary(verdicts: Sequence[SoundVerdict]) -> dict[str, float]:
    """The figures of many clips, by name."""
    gaps = [1000 * gap for verdict in verdicts for gap in verdict.gaps]
    return {
        "median gap, ms": float(np.percentile(gaps, 50)) if gaps else math.nan,
        "95th percentile of gaps, ms": float(np.percentile(gaps, 95)) if gaps else math.nan,
        "all events sounded": _share([verdict.has_all_sounded for verdict in verdicts]),
        "no onset without an event": _share([verdict.num_unseen == 0 for verdict in verdicts]),
        "timbre": _share([verdict.has_timbre for verdict in verdicts]),
    }


def _share(truths: Sequence[bool]) -> float:
    return sum(truths) / len(truths)
