"""What is special to objects in a folder."""

from pathlib import Path

import pytest

from telecine.errors import ObjectStoreUnavailableError
from telecine.storage import atomic_file
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import StoredObject

from .conftest import DATA, DIGEST, KEY, read_all


async def test_put_that_breaks_leaves_the_old_object_whole(
    local_store: LocalObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local_store.put(KEY, DATA)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full_disk)
    with pytest.raises(ObjectStoreUnavailableError):
        await local_store.put(KEY, b"new")
    monkeypatch.undo()
    assert await read_all(local_store) == DATA
    assert await local_store.stat(KEY) == StoredObject(len(DATA), DIGEST)
    left = [path.name for path in (tmp_path / "objects").rglob(".writing-*")]
    assert left == []
