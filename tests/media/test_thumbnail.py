"""Thumbnails, read back by Pillow."""

import io

import numpy as np
from PIL import Image

from telecine.media.thumbnail import encode_thumbnail


def test_thumbnail_shows_the_frame() -> None:
    frame = np.full((64, 96, 3), (200, 30, 60), dtype=np.uint8)
    picture = Image.open(io.BytesIO(encode_thumbnail(frame)))
    assert (picture.format, picture.size) == ("WEBP", (96, 64))
    assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frame).max() <= 6


def test_large_frame_is_scaled_down_to_its_longest_side() -> None:
    picture = Image.open(io.BytesIO(encode_thumbnail(np.zeros((480, 832, 3), dtype=np.uint8))))
    assert picture.size == (512, 295)
