"""What moves in pictures: how far a mouth is open, or when a shape hits the floor."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from telecine.media.transcoder import Frames

LARGEST_SIDE = 128
"""Pictures are looked at no larger, in pixels."""
# Levels of 255 by which a pixel changes that is a mouth's at times, or shape and not background.
_CHANGE = 48
_LARGEST_MOUTH = 0.2  # of the picture's pixels
_SMALLEST_MOUTH_PIXELS = 6
_MIDDLE = 0.75
_RING_PIXELS = 2
_LEAST_SKIN = 0.6  # of what lies around a mouth: an open one reaches down to the chin
# How much of its fastest speed a shape has when it hits something, before and after.
_IMPACT_SPEED = 0.25
NUM_PATH_POINTS = 3

Signal = NDArray[np.float64]
_Mask = NDArray[np.bool_]


@dataclass
class SmallPictures:
    """Keeps a video's frames small, as they come, for what is measured of the whole."""

    _chunks: list[Frames] = field(default_factory=list)

    def add(self, frames: Frames) -> None:
        """Takes the next `frames` [n, H, W, 3] uint8."""
        factor = -(-max(frames.shape[1:3]) // LARGEST_SIDE)
        self._chunks.append(np.stack([_shrunk(frame, factor) for frame in frames]))

    @property
    def frames(self) -> Frames:
        """All of them [T, h, w, 3]."""
        return np.concatenate(self._chunks)


def mouth_openness(frames: Frames) -> Signal | None:
    """Returns how far a mouth is open in each frame, 0 to 1; None where none is found.

    A mouth is where it grows dark and light again within something that stays as it is, and
    that is not the background: a face.
    """
    values = frames.max(axis=3)  # dark is what is dark in every colour
    lightest, darkest = values.max(axis=0), values.min(axis=0)
    change = lightest.astype(np.int16) - darkest
    region = _region_around_largest(change, change > _CHANGE)
    num_pixels = int(region.sum())
    if not _SMALLEST_MOUTH_PIXELS <= num_pixels <= _LARGEST_MOUTH * change.size:
        return None
    if not _is_in_face(frames, region):
        return None
    # Its height in its middle: the width does not tell, a round mouth is narrow.
    columns = np.where(region, change, 0).sum(axis=0)
    region = region & (columns > _MIDDLE * columns.max())
    darkness = lightest[region].astype(np.float64) - values[:, region]
    return _scaled(darkness.sum(axis=1))


def impact_times(frames: Frames) -> Signal:
    """Returns when a moving shape hits what is below it, in frames, seldom whole numbers."""
    heights = _heights(frames)
    if heights is None or len(heights) < 2 * NUM_PATH_POINTS:
        return np.zeros(0)
    speeds = np.diff(heights)  # downwards
    fastest = np.abs(speeds).max()
    if fastest * len(heights) < 1:
        return np.zeros(0)
    impacts = [
        time
        for number in range(1, len(heights) - 1)
        if heights[number] >= heights[number - 1] and heights[number] > heights[number + 1]
        for time in [_impact_time(heights, number, fastest=float(fastest))]
        if time is not None
    ]
    return np.array(impacts)


def _impact_time(heights: Signal, number: int, *, fastest: float) -> float | None:
    """Where the paths before and after a lowest frame meet; None where it only turns there."""
    before = np.arange(max(0, number - NUM_PATH_POINTS), number)
    after = np.arange(number + 1, min(len(heights), number + 1 + NUM_PATH_POINTS))
    if len(before) < NUM_PATH_POINTS or len(after) < NUM_PATH_POINTS:
        return None
    falling = np.polyfit(before - number, heights[before], 2)
    rising = np.polyfit(after - number, heights[after], 2)
    roots = np.roots(falling - rising)
    meeting = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and abs(root.real) <= 1]
    if not meeting:
        return None
    time = max(meeting, key=lambda moment: float(np.polyval(falling, moment)))
    speeds = [float(np.polyval(np.polyder(path), time)) for path in (falling, rising)]
    if speeds[0] < _IMPACT_SPEED * fastest or speeds[1] > -_IMPACT_SPEED * fastest:
        return None
    return number + time


def _heights(frames: Frames) -> Signal | None:
    """How low the shape in each picture is, in pixels from the top; None where there is none."""
    border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], 1)
    background = np.median(border.reshape(-1, 3), axis=0)
    rows = np.arange(frames.shape[1])
    heights = np.zeros(len(frames))
    for number, frame in enumerate(frames):
        distance = np.abs(frame - background).max(axis=2)
        weights = np.clip(distance - _CHANGE / 2, 0, None).sum(axis=1)
        if weights.sum() < _CHANGE * _SMALLEST_MOUTH_PIXELS:
            return None
        heights[number] = (weights * rows).sum() / weights.sum()
    return heights


def _is_in_face(frames: Frames, region: _Mask) -> bool:
    """Whether what lies around the region stays as it is, and is not the background."""
    inner = outer = _grown(region)
    for _ in range(_RING_PIXELS):
        outer = _grown(outer)
    around = outer & ~inner
    border = np.ones_like(region)
    border[1:-1, 1:-1] = False
    if not around.any() or (outer & border).any():
        return False
    skin = frames[:, around].astype(np.float64)
    colour, background = np.median(skin, axis=(0, 1)), np.median(frames[:, border], axis=(0, 1))
    is_still = skin.std(axis=0).max(axis=1) < _CHANGE / 2
    is_skin = np.abs(np.median(skin, axis=0) - colour).max(axis=1) < _CHANGE
    is_other = np.abs(colour - background).max() > _CHANGE / 2
    return bool(is_other and (is_still & is_skin).mean() > _LEAST_SKIN)


def _region_around_largest(change: NDArray[np.int16], is_changed: _Mask) -> _Mask:
    """The connected pixels that change, around that which changes most among its neighbours."""
    region = np.zeros_like(is_changed)
    padded = np.pad(np.where(is_changed, change, 0).astype(np.int64), 2)
    height, width = change.shape
    sums = sum(
        padded[top : top + height, left : left + width] for top in range(5) for left in range(5)
    )
    region[np.unravel_index(int(np.argmax(sums)), change.shape)] = True
    while True:
        grown = _grown(region) & is_changed
        if grown.sum() <= region.sum():
            return region & is_changed
        region = grown


def _grown(mask: _Mask) -> _Mask:
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= grown[:, :-1].copy()
    grown[:, :-1] |= grown[:, 1:].copy()
    return grown


def _scaled(signal: Signal) -> Signal:
    low, high = float(signal.min()), float(signal.max())
    return (signal - low) / (high - low) if high > low else np.zeros_like(signal)


def _shrunk(frame: Frames, factor: int) -> Frames:
    if factor == 1:
        return frame
    height, width = (side // factor * factor for side in frame.shape[:2])
    blocks = frame[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    small: Frames = blocks.mean(axis=(1, 3)).astype(np.uint8)
    return small
