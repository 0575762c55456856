"""A still picture of a video."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CONTENT_TYPE = "image/webp"
_QUALITY = 80


def encode_thumbnail(frame: NDArray[np.uint8], *, max_side: int = 512) -> bytes:
    """Encodes one frame [H, W, 3] uint8 as WebP, no side longer than `max_side` pixels."""
    picture = Image.fromarray(frame)
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    picture.save(encoded, format="WEBP", quality=_QUALITY, method=4)
    return encoded.getvalue()
