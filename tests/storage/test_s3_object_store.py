"""What is special to objects on an S3 server: parts, pages, and a server that is away."""

import hashlib
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from breaking_proxy import BreakingProxy
from s3_server import REGION, S3Server

from telecine.errors import ObjectStoreUnavailableError
from telecine.storage.object_store import StoredObject
from telecine.storage.s3_object_store import S3ObjectStore, S3Patience

from .conftest import DATA, DIGEST, KEY, OpenS3, list_all, read_all

_MIB = 1 << 20
IMPATIENT = S3Patience(connect_seconds=0.5, read_seconds=0.5, num_attempts=1)


async def test_a_large_file_goes_in_parts_and_is_known_by_one_digest(
    s3_store: S3ObjectStore, s3_server: S3Server, s3_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    block = hashlib.sha512(b"telecine").digest() * (_MIB // 64)
    file.write_bytes(block * 40)
    stored = await s3_store.put_file(KEY, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert stored == StoredObject(40 * _MIB, f"sha256:{digest}") == await s3_store.stat(KEY)
    with closing(s3_server.connect()) as s3:
        head = s3.head_object(Bucket=urlsplit(s3_url).netloc, Key=f"some/prefix/{KEY}")
    assert head["ETag"].strip('"').endswith("-3")
    sha256 = hashlib.sha256()
    async for chunk in s3_store.read(KEY):
        assert len(chunk) <= _MIB
        sha256.update(chunk)
    assert sha256.hexdigest() == digest
    assert await read_all(s3_store, offset=16 * _MIB - 5, limit=10) == (block * 2)[-5:] + block[:5]


async def test_more_objects_than_fit_a_page_are_listed_and_removed(
    s3_store: S3ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_page = s3_store._s3.list_objects_v2
    pages = []

    def list_small_page(**query: object) -> object:
        pages.append(query)
        return list_page(**query, MaxKeys=2)

    monkeypatch.setattr(s3_store._s3, "list_objects_v2", list_small_page)
    keys = [f"videos/v1/{index}" for index in range(5)]
    for key in keys:
        await s3_store.put(key, b"x")
    assert await list_all(s3_store, "videos") == keys
    assert len(pages) == 3
    await s3_store.delete_prefix("videos/v1")
    assert await list_all(s3_store) == []


async def test_an_object_of_another_program_gets_its_digest_by_being_read(
    s3_store: S3ObjectStore, s3_server: S3Server, s3_url: str
) -> None:
    with closing(s3_server.connect()) as s3:
        s3.put_object(Bucket=urlsplit(s3_url).netloc, Key=f"some/prefix/{KEY}", Body=DATA)
    assert await s3_store.stat(KEY) == StoredObject(len(DATA), DIGEST)


async def test_a_read_goes_on_where_its_connection_broke(
    s3_store: S3ObjectStore, s3_server: S3Server, s3_url: str, open_s3: OpenS3
) -> None:
    data = DATA * 400
    await s3_store.put(KEY, data)
    port = urlsplit(s3_server.endpoint).port
    assert port is not None
    proxy = BreakingProxy(port, num_breaks=2, break_bytes=_MIB)
    async with proxy.serve() as address:
        url = s3_url.replace("/?", "/some/prefix?")
        broken = open_s3(url.replace(urlsplit(s3_server.endpoint).netloc, address))
        assert await read_all(broken, chunk_bytes=100_000) == data
    assert proxy.num_connections == 3


async def test_a_read_does_not_go_on_in_another_object(
    s3_store: S3ObjectStore, s3_server: S3Server, s3_url: str, open_s3: OpenS3
) -> None:
    data = DATA * 400
    await s3_store.put(KEY, data)
    port = urlsplit(s3_server.endpoint).port
    assert port is not None
    async with BreakingProxy(port, num_breaks=1, break_bytes=_MIB).serve() as address:
        url = s3_url.replace("/?", "/some/prefix?")
        broken = open_s3(url.replace(urlsplit(s3_server.endpoint).netloc, address))
        reader = broken.read(KEY, chunk_bytes=100_000)
        assert await anext(reader) == data[:100_000]
        await s3_store.put(KEY, data[::-1])
        with pytest.raises(ObjectStoreUnavailableError, match="PreconditionFailed"):
            async for chunk in reader:
                assert chunk in data


async def every_call_is_refused(store: S3ObjectStore, file: Path) -> None:
    calls = (
        lambda: store.put(KEY, DATA),
        lambda: store.put_file(KEY, file),
        lambda: store.stat(KEY),
        lambda: read_all(store),
        lambda: list_all(store),
        lambda: store.delete_prefix("videos/v1"),
    )
    for call in calls:
        with pytest.raises(ObjectStoreUnavailableError) as caught:
            await call()
        assert caught.value.reason == "OBJECT_STORE_UNAVAILABLE"


async def test_a_server_that_is_away_and_comes_back_is_an_error_and_then_not(
    s3_credentials: None, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(DATA)
    with S3Server(tmp_path / "s3") as server:
        server.make_bucket("bucket")
        store = S3ObjectStore("bucket", endpoint=server.endpoint, region=REGION, patience=IMPATIENT)
        with server.hanging():
            await every_call_is_refused(store, file)
        server.stop()
        await every_call_is_refused(store, file)
        server.start()
        await store.put_file(KEY, file)
        assert await read_all(store) == DATA
        store.close()


@pytest.mark.parametrize("fault", ["secret", "bucket"])
async def test_a_wrong_secret_or_bucket_is_an_error_of_the_store(
    s3_url: str, open_s3: OpenS3, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    else:
        s3_url = s3_url.replace("bucket-", "no-bucket-")
    store = open_s3(s3_url)
    for call in (store.put(KEY, DATA), read_all(store), list_all(store)):
        with pytest.raises(ObjectStoreUnavailableError):
            await call
