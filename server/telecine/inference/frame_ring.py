"""A ring of slots in shared memory through which a decoder hands frames to its client.

The client makes it and names it in its request. The decoder may be at most `num_slots`
chunks ahead of what the client has taken, so neither memory grows and no chunk is
overwritten while it is read. Chunks are numbered from 0; chunk k lies in slot
k % num_slots, unless it is small and travels in the response itself.
"""

import struct
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from telecine.inference.shared_region import SharedRegion

INLINE_BYTES = 1_000_000
"""Larger tensors go through shared memory."""

_HEADER = struct.Struct("<8sQQQ")
_MAGIC = b"TCRING1\0"
_NUM_CONSUMED = struct.Struct("<Q")
_NUM_CONSUMED_OFFSET = _HEADER.size - _NUM_CONSUMED.size
_SLOTS_OFFSET = 4096


class FrameRing:
    """Both ends of a ring; a context manager that closes its region."""

    def __init__(self, region: SharedRegion) -> None:
        self._region = region
        magic, num_slots, slot_bytes, _ = _HEADER.unpack_from(region.memory)
        if magic != _MAGIC or _SLOTS_OFFSET + num_slots * slot_bytes > region.num_bytes:
            region.close()
            raise ValueError(f"ring: {region.name} is not a frame ring")
        self._num_slots: int = num_slots
        self._slot_bytes: int = slot_bytes

    @classmethod
    def create(cls, *, num_slots: int = 3, slot_bytes: int = 128 << 20) -> Self:
        """Make an empty ring, at the client; only slots that are used take memory."""
        region = SharedRegion.create(_SLOTS_OFFSET + num_slots * slot_bytes)
        _HEADER.pack_into(region.memory, 0, _MAGIC, num_slots, slot_bytes, 0)
        return cls(region)

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open the ring of that name, at the decoder; errors as of `SharedRegion.attach`."""
        return cls(SharedRegion.attach(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._region.close()

    @property
    def name(self) -> str:
        """What the decoder finds the ring by."""
        return self._region.name

    @property
    def slot_bytes(self) -> int:
        """The largest chunk that a slot holds."""
        return self._slot_bytes

    @property
    def num_consumed(self) -> int:
        """Chunks that the client has taken."""
        (count,) = _NUM_CONSUMED.unpack_from(self._region.memory, _NUM_CONSUMED_OFFSET)
        return int(count)

    def has_room(self, chunk_index: int) -> bool:
        """Whether the client has taken enough for this chunk to be sent."""
        return chunk_index - self.num_consumed < self._num_slots

    def write(self, chunk_index: int, chunk: NDArray[np.uint8]) -> None:
        """Put a chunk into its slot; only while `has_room`.

        Raises:
            ValueError: the chunk is larger than a slot.
        """
        if chunk.nbytes > self._slot_bytes:
            raise ValueError(
                f"frames: {chunk.nbytes} bytes do not fit {self._slot_bytes} of a slot"
            )
        np.copyto(self._slot(chunk_index, chunk.shape), chunk)

    def read(self, chunk_index: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return a copy of a chunk that the decoder has written."""
        return self._slot(chunk_index, shape).copy()

    def release(self, chunk_index: int) -> None:
        """Give the chunk's credit back: the client holds no view of its slot any more."""
        _NUM_CONSUMED.pack_into(self._region.memory, _NUM_CONSUMED_OFFSET, chunk_index + 1)

    def _slot(self, chunk_index: int, shape: tuple[int, ...]) -> NDArray[Any]:
        offset = _SLOTS_OFFSET + chunk_index % self._num_slots * self._slot_bytes
        num_bytes = int(np.prod(shape, dtype=np.int64))
        return self._region.bytes_at(offset, num_bytes).reshape(shape)
