"""Stores of both kinds, and what is put there."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import ObjectStore
from telecine.storage.s3_object_store import S3ObjectStore
from telecine.storage.store_urls import open_object_store

KEY = "videos/v1/1/video.mp4"
DATA = bytes(range(256)) * 41
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def local_store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path / "objects")


OpenS3 = Callable[[str], S3ObjectStore]


@pytest.fixture
async def open_s3() -> AsyncIterator[OpenS3]:
    """Opens S3 stores by URL and closes them all at the end."""
    opened = []

    def open_one(url: str) -> S3ObjectStore:
        store = open_object_store(url)
        assert isinstance(store, S3ObjectStore)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def s3_store(open_s3: OpenS3, s3_url: str) -> S3ObjectStore:
    return open_s3(s3_url.replace("/?", "/some/prefix?"))


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(f"{request.param}_store")


async def read_all(store: ObjectStore, key: str = KEY, **part: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, **part)])


async def list_all(store: ObjectStore, prefix: str = "") -> list[str]:
    return [key async for key in store.list_keys(prefix)]
