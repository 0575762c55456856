"""The judge: says what a clip shows from its pixels alone.

It is exact on rendered truth, and nothing of it is used in training or generation.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.world import BACKGROUNDS, COLOURS, SHAPES, Scene, shape_distance

Frames = NDArray[np.uint8]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

AREAS = {
    "circle": math.pi,
    "square": (2 * 0.85) ** 2,
    "triangle": 3 * math.sqrt(3) / 4,
    "star": 5 * 0.45 * math.sin(math.pi / 5),
}
"""Area of each shape of radius one."""
_TEMPLATE_SIZES = (0.85, 0.925, 1.0, 1.075, 1.15)
_SMALLEST_DISTANCE = 0.3
_MASK_RANK = 200


@dataclass(frozen=True)
class _Track:
    """Where the shape was, in units of the frame's side, and its area in pixels."""

    x: Floats
    y: Floats
    area: Floats


def judge(frames: Frames) -> Scene:
    """Name the scene of [T, H, W, 3] uint8 frames; the nearest name wins, there is no unknown."""
    pixels, backdrop, distance, masks = _seen(frames)
    return Scene(
        colour=_colour(pixels, distance),
        shape=_shape(masks[::3]),
        motion=_motion(_track(masks)),
        background=_nearest(backdrop, BACKGROUNDS),
    )


def contacts(frames: Frames) -> tuple[float, ...]:
    """The moments in frames at which a bouncing shape touches the floor.

    One is seen if it has three frames before it and after it: what falls there is another's
    guess.
    """
    heights = -_track(_seen(frames)[3]).y
    low = heights.min() + 0.4 * np.ptp(heights)
    moments: list[float] = []
    for index in range(3, len(heights) - 3):
        around = heights[index - 3 : index + 4]
        if heights[index] == around.min() < low:
            moment = _lowest_moment(heights, index)
            if not moments or moment - moments[-1] > 3:
                moments.append(moment)
    return tuple(moments)


def _lowest_moment(heights: Floats, index: int) -> float:
    """Where the parabolas before and after a contact meet, to a fiftieth of a frame."""
    frames = np.arange(max(0, index - 4), min(len(heights), index + 5))
    seen = heights[frames]
    errors = {}
    for moment in np.arange(index - 1.0, index + 1.0, 0.02):
        since = np.abs(frames - moment)
        design = np.stack((np.ones_like(since), since, since**2), 1)
        fitted = design @ np.linalg.lstsq(design, seen, rcond=None)[0]
        errors[float(moment)] = float(np.square(fitted - seen).sum())
    return min(errors, key=lambda moment: errors[moment])


def _seen(frames: Frames) -> tuple[Floats, Floats, Floats, Mask]:
    """Pixels from 0 to 1, the backdrop's colour, each pixel's distance from it, the shape."""
    pixels = frames.astype(np.float64) / 255.0
    backdrop = backdrop_of(pixels)
    distance = np.linalg.norm(pixels - backdrop, axis=-1)
    return pixels, backdrop, distance, np.stack([_mask(frame) for frame in distance])


def backdrop_of(pixels: Floats) -> Floats:
    """The colour [3] of the borders of [T, H, W, 3]."""
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], 1)
    backdrop: Floats = np.median(border.reshape(-1, 3), axis=0)
    return backdrop


def _mask(distance: Floats) -> Mask:
    ranked = np.partition(distance.ravel(), -_MASK_RANK)[-_MASK_RANK]
    return distance > max(_SMALLEST_DISTANCE, ranked / 2)


def _nearest(colour: Floats, names: dict[str, tuple[int, int, int]]) -> str:
    return min(names, key=lambda name: float(np.linalg.norm(np.array(names[name]) / 255 - colour)))


def _colour(pixels: Floats, distance: Floats) -> str:
    inside = distance >= 0.85 * distance.max()
    return _nearest(np.median(pixels[inside], axis=0), COLOURS)


def _shape(masks: Mask) -> str:
    overlaps = dict.fromkeys(SHAPES, 0.0)
    for mask in masks:
        if mask.sum() >= 20:
            for shape in SHAPES:
                overlaps[shape] += _best_overlap(mask, shape)
    return max(overlaps, key=lambda shape: overlaps[shape])


def _best_overlap(mask: Mask, shape: str) -> float:
    """Intersection over union with the shape drawn at the mask's centroid and area."""
    rows, columns = np.nonzero(mask)
    dy = torch.arange(mask.shape[0])[:, None] - rows.mean()
    dx = torch.arange(mask.shape[1])[None, :] - columns.mean()
    best = 0.0
    for size in _TEMPLATE_SIZES:
        radius = torch.tensor(size * math.sqrt(mask.sum() / AREAS[shape]))
        template = (shape_distance(shape, dx, dy, radius) < 0).numpy()
        best = max(best, float((mask & template).sum() / (mask | template).sum()))
    return best


def _track(masks: Mask) -> _Track:
    side = masks.shape[1]
    centres = [
        (float(np.nonzero(mask)[1].mean()), float(np.nonzero(mask)[0].mean()), float(mask.sum()))
        for mask in masks
        if mask.any()
    ]
    if not centres:
        centres = [(0.0, 0.0, 1.0)]
    x, y, area = np.array(centres).T
    return _Track(x / side, y / side, area)


def _motion(track: _Track) -> str:
    range_x, range_y = float(np.ptp(track.x)), float(np.ptp(track.y))
    net_x, net_y = float(track.x[-1] - track.x[0]), float(track.y[-1] - track.y[0])
    if min(range_x, range_y) > 0.24 and math.hypot(net_x, net_y) < 0.2:
        return "orbit"
    if range_x < 0.12 and range_y > 0.18 and _reversals(track.y) >= 2:
        return "bounce"
    if max(abs(net_x), abs(net_y)) > 0.2:
        if abs(net_x) > abs(net_y):
            return "right" if net_x > 0 else "left"
        return "down" if net_y > 0 else "up"
    ratio = float(track.area[-3:].mean() / track.area[:3].mean())
    return "grow" if ratio > 1 else "shrink"


def _reversals(values: Floats) -> int:
    """How often the direction turns, jitter under 2 % of the side aside."""
    turns, direction, extreme = 0, 0, float(values[0])
    for value in map(float, values[1:]):
        moved = value - extreme
        if direction == 0 and abs(moved) > 0.02:
            direction, extreme = int(math.copysign(1, moved)), value
        elif direction * moved > 0:
            extreme = value
        elif direction * moved < -0.02:
            turns, direction, extreme = turns + 1, -direction, value
    return turns
