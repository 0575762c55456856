"""Moments of a video in one image."""

import io

import numpy as np
import pytest
from PIL import Image

from telecine.media.spritesheet import MAX_TILES, SpriteSheet


def sheet_of(num_frames: int, *, height: int = 20, width: int = 40, chunk: int = 7) -> Image.Image:
    """The sheet of a video whose frame k is as bright as k."""
    frames = np.zeros((num_frames, height, width, 3), dtype=np.uint8)
    frames += np.arange(num_frames, dtype=np.uint8)[:, None, None, None]
    sheet = SpriteSheet(num_frames)
    for start in range(0, num_frames, chunk):
        sheet.add(frames[start : start + chunk])
    return Image.open(io.BytesIO(sheet.encode()))


@pytest.mark.parametrize(
    ("num_frames", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (9, 5, 2), (33, 5, 5), (250, 5, 5)]
)
def test_tiles_stand_in_rows_of_five(num_frames: int, columns: int, rows: int) -> None:
    assert sheet_of(num_frames).size == (40 * columns, 20 * rows)


def test_tiles_are_moments_evenly_spaced_in_order() -> None:
    pixels = np.asarray(sheet_of(250).convert("L")).reshape(5, 20, 5, 40).mean(axis=(1, 3))
    expected = np.arange(MAX_TILES) * 10.0
    assert np.abs(pixels.ravel() - expected).max() < 6


def test_large_frames_are_scaled_down() -> None:
    assert sheet_of(1, height=360, width=640).size == (160, 90)


def test_no_frames_give_no_image() -> None:
    assert SpriteSheet(9).encode() == b""
