"""Small pictures of moments of a video in one image, for a player's preview while seeking."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLUMNS = 5
MAX_TILES = 25
MAX_TILE_SIDE = 160  # pixels
_QUALITY = 75


class SpriteSheet:
    """Collects evenly spaced frames while they come, each scaled down at once.

    Args:
        num_frames: frames of the whole video.
    """

    def __init__(self, num_frames: int) -> None:
        num_tiles = max(1, min(MAX_TILES, num_frames))
        self._wanted = {num_frames * tile // num_tiles for tile in range(num_tiles)}
        self._num_seen = 0
        self._tiles: list[Image.Image] = []

    def add(self, frames: NDArray[np.uint8]) -> None:
        """Takes the next `frames` [n, H, W, 3]."""
        for index, frame in enumerate(frames, start=self._num_seen):
            if index in self._wanted:
                tile = Image.fromarray(frame)
                tile.thumbnail((MAX_TILE_SIDE, MAX_TILE_SIDE), Image.Resampling.BILINEAR)
                self._tiles.append(tile)
        self._num_seen += len(frames)

    def encode(self) -> bytes:
        """Returns the image: rows of COLUMNS pictures in the order of time; empty for no frames."""
        if not self._tiles:
            return b""
        width, height = self._tiles[0].size
        num_rows = -(-len(self._tiles) // COLUMNS)
        num_columns = min(COLUMNS, len(self._tiles))
        sheet = Image.new("RGB", (width * num_columns, height * num_rows))
        for place, tile in enumerate(self._tiles):
            row, column = divmod(place, COLUMNS)
            sheet.paste(tile, (column * width, row * height))
        encoded = io.BytesIO()
        sheet.save(encoded, format="WEBP", quality=_QUALITY, method=4)
        return encoded.getvalue()
