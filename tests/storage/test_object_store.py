"""What every object store does: in a folder, and on a real S3 server."""

from pathlib import Path

import pytest

from telecine.errors import NotFoundError
from telecine.storage.object_store import ObjectStore, StoredObject

from .conftest import DATA, DIGEST, KEY, list_all, read_all


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


async def test_no_bytes_can_be_stored(store: ObjectStore) -> None:
    await store.put(KEY, b"")
    assert (await store.stat(KEY)).size_bytes == 0
    assert await read_all(store) == b""


async def test_a_file_that_is_gone_is_not_stored(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await store.put_file(KEY, tmp_path / "gone")


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
    assert await read_all(store, offset=len(DATA) + 5, limit=7) == b""


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


async def test_keys_are_listed_in_order_below_a_prefix(store: ObjectStore) -> None:
    assert await list_all(store) == []
    keys = ["media/m1", "videos/v1-x/a", "videos/v1/1/a", "videos/v1/1/b", "videos/v10/a"]
    for key in reversed(keys):
        await store.put(key, DATA)
    assert await list_all(store) == keys
    assert await list_all(store, "videos/v1") == ["videos/v1/1/a", "videos/v1/1/b"]
    assert await list_all(store, "media/m1") == ["media/m1"]
    assert await list_all(store, "videos/none") == []
