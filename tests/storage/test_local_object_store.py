"""Objects in a local folder."""

import hashlib
from pathlib import Path

import pytest

from telecine.errors import NotFoundError, ObjectStoreUnavailableError
from telecine.storage import atomic_file
from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import ObjectStore, StoredObject

KEY = "videos/v1/1/video.mp4"
DATA = bytes(range(256)) * 41
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return LocalObjectStore(tmp_path / "objects")


async def read_all(store: ObjectStore, key: str = KEY, **part: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, **part)])


async def test_what_is_put_is_read_and_known_by_its_digest(
    store: ObjectStore, tmp_path: Path
) -> None:
    file = tmp_path / "made.mp4"
    file.write_bytes(DATA)
    assert await store.put_file(KEY, file) == StoredObject(len(DATA), DIGEST)
    assert await store.put("media/m1", DATA) == StoredObject(len(DATA), DIGEST)
    for key in (KEY, "media/m1"):
        assert await store.stat(key) == StoredObject(len(DATA), DIGEST)
        assert await read_all(store, key) == DATA
    assert file.read_bytes() == DATA


@pytest.mark.parametrize(("offset", "limit"), [(0, 0), (0, 1), (100, 300), (10_000, 0), (9, 9999)])
async def test_parts_are_read_in_small_chunks(store: ObjectStore, offset: int, limit: int) -> None:
    await store.put(KEY, DATA)
    end = offset + limit if limit else None
    expected = DATA[offset:end]
    assert await read_all(store, offset=offset, limit=limit, chunk_bytes=64) == expected
    chunks = [chunk async for chunk in store.read(KEY, offset=offset, chunk_bytes=64)]
    assert max(map(len, chunks)) <= 64


async def test_reading_past_the_end_yields_nothing(store: ObjectStore) -> None:
    await store.put(KEY, DATA)
    assert await read_all(store, offset=len(DATA)) == b""
    assert await read_all(store, offset=len(DATA) + 5) == b""


@pytest.mark.parametrize("key", ["videos/none", "videos/v1", f"{KEY}/below"])
async def test_what_is_not_stored_is_not_found(store: ObjectStore, key: str) -> None:
    await store.put(KEY, DATA)
    with pytest.raises(NotFoundError):
        await store.stat(key)
    with pytest.raises(NotFoundError):
        await read_all(store, key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../secret",
        "videos/../../secret",
        "videos/./x",
        "videos//x",
        "videos/x/",
        "videos/.hidden",
        "videos/a\\b",
        "videos/a\x00b",
        "videos/a\n",
        "videos/é",
        "x" * 600,
    ],
)
async def test_keys_that_could_lead_out_of_the_store_are_refused(
    store: ObjectStore, tmp_path: Path, key: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    with pytest.raises(ValueError, match="not the key"):
        await store.put(key, DATA)
    with pytest.raises(ValueError, match="not the key"):
        await store.stat(key)
    with pytest.raises(ValueError, match="not the key"):
        await read_all(store, key)
    with pytest.raises(ValueError, match="not the key"):
        await store.delete_prefix(key)
    assert (tmp_path / "secret").read_bytes() == b"secret"


async def test_put_that_breaks_leaves_the_old_object_whole(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(KEY, DATA)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full_disk)
    with pytest.raises(ObjectStoreUnavailableError):
        await store.put(KEY, b"new")
    monkeypatch.undo()
    assert await read_all(store) == DATA
    assert await store.stat(KEY) == StoredObject(len(DATA), DIGEST)
    left = [path.name for path in (tmp_path / "objects").rglob(".writing-*")]
    assert left == []


async def test_object_replaced_while_it_is_read_is_read_as_it_was(store: ObjectStore) -> None:
    await store.put(KEY, DATA)
    reader = store.read(KEY, chunk_bytes=64)
    first = await anext(reader)
    await store.put(KEY, b"new")
    await store.delete_prefix("videos/v1")
    assert first + b"".join([chunk async for chunk in reader]) == DATA


async def test_prefix_takes_all_below_it_and_nothing_beside_it(store: ObjectStore) -> None:
    for key in (KEY, "videos/v1/2/video.mp4", "videos/v10/1/video.mp4", "media/m1", "media/m10"):
        await store.put(key, DATA)
    await store.delete_prefix("videos/v1")
    await store.delete_prefix("media/m1")
    await store.delete_prefix("videos/none")
    for key in (KEY, "videos/v1/2/video.mp4", "media/m1"):
        with pytest.raises(NotFoundError):
            await store.stat(key)
    for key in ("videos/v10/1/video.mp4", "media/m10"):
        assert await read_all(store, key) == DATA
