"""The judge of faces: what a face looks like, what it says, and when its mouth opens.

Like the judge of shapes it reads decoded frames alone and is exact on rendered truth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.face import EYE_RADIUS, EYE_Y, FACE, FEATURES_COLOUR, MOUTH_Y, VOWELS
from train.judge import Floats, Frames, backdrop_of
from train.world import BACKGROUNDS, COLOURS, Scene

_BEGUN, _CLOSED, _OPEN = 0.1, 0.25, 0.5
"""Shares of the widest opening: where one begins, what ends one, what makes one."""

_LEAST_OPENING = 0.02


@dataclass(frozen=True)
class FaceSeen:
    """What the judge sees."""

    scene: Scene
    openings: tuple[float, ...]
    """The moments in frames at which the mouth begins to open."""


@dataclass(frozen=True)
class _Head:
    """Where the head is, in pixels."""

    x: float
    y: float
    radius: float


def judge_face(frames: Frames) -> FaceSeen:
    """Judge [T, H, W, 3] uint8 frames of a face that stays where it is."""
    pixels = frames.astype(np.float64) / 255.0
    backdrop = backdrop_of(pixels)
    still = np.median(pixels, axis=0)
    colour = _colour(still, backdrop)
    head = _head(still, backdrop, colour)
    widths, heights = _mouth(pixels, np.array(COLOURS[colour]) / 255.0, head)
    opened = (heights - heights.min()) / max(float(np.ptp(heights)), _LEAST_OPENING)
    widest = opened >= 0.95 * opened.max()
    vowel = _vowel(float(np.median(widths[widest])), float(np.median(heights[widest])))
    background = min(
        BACKGROUNDS, key=lambda name: _between(np.array(BACKGROUNDS[name]) / 255.0, backdrop)
    )
    return FaceSeen(Scene(colour, FACE, vowel, background), _openings(opened))


def _between(colour: Floats, other: Floats) -> float:
    return float(np.linalg.norm(colour - other))


def _colour(still: Floats, backdrop: Floats) -> str:
    """The named colour that most pixels are nearest to, but for the backdrop and the features."""
    candidates = [np.array(colour) / 255.0 for colour in (*COLOURS.values(), FEATURES_COLOUR)]
    distances = [np.linalg.norm(still - colour, axis=-1) for colour in (*candidates, backdrop)]
    nearest = np.argmin(np.stack(distances), axis=0)
    counts = np.bincount(nearest.ravel(), minlength=len(distances))[: len(COLOURS)]
    return tuple(COLOURS)[int(counts.argmax())]


def _head(still: Floats, backdrop: Floats, colour: str) -> _Head:
    """The circle around the pixels that are nearer to the head's colour than to the others'."""
    skin = np.linalg.norm(still - np.array(COLOURS[colour]) / 255.0, axis=-1)
    is_skin = skin < np.linalg.norm(still - backdrop, axis=-1)
    is_skin &= skin < np.linalg.norm(still - np.array(FEATURES_COLOUR) / 255.0, axis=-1)
    left, right = _extent(is_skin.any(0))
    top, bottom = _extent(is_skin.any(1))
    return _Head((left + right) / 2, (top + bottom) / 2, (right - left + bottom - top) / 4)


def _extent(is_there: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(is_there)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(is_there))


def _mouth(pixels: Floats, skin: Floats, head: _Head) -> tuple[Floats, Floats]:
    """Half the width and half the height of the mouth in each frame, in radii of the head."""
    away = np.array(FEATURES_COLOUR) / 255.0 - skin
    dark = ((pixels - skin) @ away / (away @ away)).clip(0.0, 1.0)
    ys = (np.arange(pixels.shape[1]) + 0.5 - head.y) / head.radius
    xs = (np.arange(pixels.shape[2]) + 0.5 - head.x) / head.radius
    is_below_eyes = (ys > EYE_Y + EYE_RADIUS) & (ys < 0.9)
    across = dark[:, np.abs(ys - MOUTH_Y).argsort()[:2]][:, :, np.abs(xs) < 0.7].mean(1)
    down = dark[:, :, np.abs(xs).argsort()[:2]][:, is_below_eyes].mean(2)
    return across.sum(1) / (2 * head.radius), down.sum(1) / (2 * head.radius)


def _vowel(width: float, height: float) -> str:
    def distance(name: str) -> float:
        half_width, half_height = VOWELS[name].mouth
        return abs(width - half_width) + abs(height - half_height)

    return min(VOWELS, key=distance)


def _openings(opened: Floats) -> tuple[float, ...]:
    """Where each rise from closed to open passes the tenth, between two frames."""
    moments: list[float] = []
    is_closed, last_closed = True, 0
    for index, value in enumerate(opened.tolist()):
        if value < _BEGUN:
            last_closed = index
        if value < _CLOSED:
            is_closed = True
        elif is_closed and value >= _OPEN:
            is_closed = False
            below, above = opened[last_closed], opened[min(last_closed + 1, len(opened) - 1)]
            share = (_BEGUN - below) / max(float(above - below), 1e-6)
            moments.append(last_closed + float(np.clip(share, 0.0, 1.0)))
    return tuple(moments)
