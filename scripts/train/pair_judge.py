"""The judge of two shapes: what each of them is, which one moves, and how they stand.

Like the judge of one shape it reads decoded frames alone and is exact on rendered truth.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.judge import AREAS, Floats, Frames, backdrop_of, judge
from train.pair import RELATIONS
from train.world import COLOURS, Scene

_BIGGER = 1.5
"""How many times the other's radius one has that is bigger."""
_APART = 0.1


@dataclass(frozen=True)
class PairSeen:
    """What the judge sees."""

    moving: Scene
    still: Scene
    """Its motion says nothing."""
    relations: frozenset[str]
    """Those that hold, of the moving one to the still one."""


def judge_pair(frames: Frames) -> PairSeen:
    """Judge [T, H, W, 3] uint8 frames of two shapes of different colours."""
    pixels = frames.astype(np.float64) / 255.0
    backdrop = backdrop_of(pixels)
    owners = _owners(pixels, backdrop)
    parts = [_alone(frames, owners, owner, backdrop) for owner in (0, 1)]
    tracks = [_track(part, backdrop) for part in parts]
    if _movement(tracks[0]) < _movement(tracks[1]):
        parts.reverse()
        tracks.reverse()
    scenes = [judge(part) for part in parts]
    radii = [
        float(np.median(track[:, 2])) / math.sqrt(AREAS[scene.shape])
        for track, scene in zip(tracks, scenes, strict=True)
    ]
    return PairSeen(*scenes, _relations(*tracks, sizes=radii[0] / radii[1]))


def _owners(pixels: Floats, backdrop: Floats) -> NDArray[np.int64]:
    """For each pixel which of the two commonest colours it is nearest to, in direction."""
    away = pixels - backdrop
    axes = np.stack([np.array(colour) / 255.0 - backdrop for colour in COLOURS.values()])
    directions = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    some = away[::8]
    some = some[np.linalg.norm(some, axis=-1) > 0.3]
    distances = np.linalg.norm(some[:, None] - axes, axis=-1)
    counts = np.bincount(distances.argmin(-1), minlength=len(axes))
    first, second = np.argsort(counts)[-2:]
    towards = away @ directions[[first, second]].T
    owners: NDArray[np.int64] = towards.argmax(-1)
    return owners


def _alone(frames: Frames, owners: NDArray[np.int64], owner: int, backdrop: Floats) -> Frames:
    alone = frames.copy()
    alone[owners != owner] = np.round(backdrop * 255).astype(np.uint8)
    return alone


def _track(frames: Frames, backdrop: Floats) -> Floats:
    """Of each frame the centre and the root of the shape's area: [T, 3]."""
    is_inside = np.linalg.norm(frames / 255.0 - backdrop, axis=-1) > 0.3
    area = np.maximum(is_inside.sum((1, 2)), 1)
    y = (is_inside.sum(2) * np.arange(frames.shape[1])).sum(1) / area
    x = (is_inside.sum(1) * np.arange(frames.shape[2])).sum(1) / area
    return np.stack((x, y, np.sqrt(area)), 1) / frames.shape[1]


def _movement(track: Floats) -> float:
    return float(np.ptp(track, axis=0).sum())


def _relations(moving: Floats, still: Floats, *, sizes: float) -> frozenset[str]:
    x, y = (moving[:, :2] - still[:, :2]).mean(0)
    truths = {
        "left of": x < -_APART,
        "right of": x > _APART,
        "above": y < -_APART,
        "below": y > _APART,
        "bigger than": sizes > _BIGGER,
        "smaller than": sizes < 1 / _BIGGER,
    }
    return frozenset(name for name in RELATIONS if truths[name])
