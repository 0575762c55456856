"""Leftovers go, what someone maps stays."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telecine.inference.shared_memory import (
    SERVER_PREFIX,
    SHARED_MEMORY_FOLDER,
    remove_leftovers,
)
from telecine.inference.shared_region import SharedRegion


@pytest.fixture
def leftover() -> Iterator[Path]:
    path = SHARED_MEMORY_FOLDER / f"{SERVER_PREFIX}{os.getpid()}_test"
    path.write_bytes(b"left")
    yield path
    path.unlink(missing_ok=True)


def make_old(path: Path) -> None:
    an_hour_ago = time.time() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))


def test_region_of_a_dead_server_is_removed(leftover: Path) -> None:
    make_old(leftover)
    assert leftover in remove_leftovers()
    assert not leftover.exists()


def test_young_region_is_left_for_its_server_to_map(leftover: Path) -> None:
    assert leftover not in remove_leftovers()
    assert leftover.exists()


def test_mapped_region_is_left_alone() -> None:
    with SharedRegion.create(1000) as region:
        path = SHARED_MEMORY_FOLDER / region.name
        make_old(path)
        assert path not in remove_leftovers()
        assert path.exists()
