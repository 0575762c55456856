"""Both ends of a ring in one process."""

import numpy as np
import pytest

from telecine.inference.frame_ring import FrameRing
from telecine.inference.shared_memory import SHARED_MEMORY_FOLDER


def chunk_of(value: int) -> np.ndarray:
    return np.full((2, 4, 6, 3), value, np.uint8)


def test_chunks_arrive_in_order_and_no_slot_is_overwritten_before_its_release() -> None:
    shape = (2, 4, 6, 3)
    with (
        FrameRing.create(num_slots=2, slot_bytes=1000) as reader,
        FrameRing.attach(reader.name) as writer,
    ):
        for value in range(2):
            assert writer.has_room(value)
            writer.write(value, chunk_of(value))
        assert not writer.has_room(2)
        np.testing.assert_array_equal(reader.read(0, shape), chunk_of(0))
        reader.release(0)
        assert writer.has_room(2)
        assert not writer.has_room(3)
        writer.write(2, chunk_of(2))
        for value in (1, 2):
            np.testing.assert_array_equal(reader.read(value, shape), chunk_of(value))
            reader.release(value)
        assert writer.has_room(4)


def test_read_chunk_outlives_its_slot() -> None:
    with FrameRing.create(num_slots=1, slot_bytes=1000) as ring:
        ring.write(0, chunk_of(1))
        chunk = ring.read(0, (2, 4, 6, 3))
        ring.release(0)
        ring.write(1, chunk_of(2))
    np.testing.assert_array_equal(chunk, chunk_of(1))


def test_closed_ring_leaves_nothing_behind() -> None:
    with FrameRing.create(num_slots=1, slot_bytes=1000) as ring:
        path = SHARED_MEMORY_FOLDER / ring.name
        assert path.exists()
    assert not path.exists()


def test_chunk_larger_than_a_slot_is_refused() -> None:
    with (
        FrameRing.create(num_slots=1, slot_bytes=100) as ring,
        pytest.raises(ValueError, match="do not fit"),
    ):
        ring.write(0, chunk_of(1))


@pytest.mark.parametrize("name", ["/etc/passwd", "../etc/passwd", "telecine_client_/../x", ""])
def test_name_that_is_no_clients_region_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a region"):
        FrameRing.attach(name)


def test_region_that_is_no_ring_is_refused() -> None:
    with FrameRing.create(num_slots=1, slot_bytes=100) as ring:
        (SHARED_MEMORY_FOLDER / ring.name).write_bytes(bytes(5000))
        with pytest.raises(ValueError, match="not a frame ring"):
            FrameRing.attach(ring.name)
