"""Models fetched from a registry, also by processes that are killed, and evicted."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from telecine.errors import ModelError, ObjectStoreUnavailableError
from telecine.storage import open_object_store
from telecine.storage.local_object_store import LocalObjectStore
from telecine.worker.model_cache import ModelCache
from telecine.worker.model_manifest import PublishedVersion
from telecine.worker.model_publishing import publish_model

from .test_model_registry import write_model

WEIGHTS = "vae/weights.safetensors"


class CountingStore(LocalObjectStore):
    """Counts the bytes that are read of it; each chunk may take its time."""

    num_bytes = 0
    chunk_seconds = 0.0

    async def read(
        self, key: str, *, offset: int = 0, limit: int = 0, chunk_bytes: int = 100_000
    ) -> AsyncGenerator[bytes, None]:
        size = min(chunk_bytes, 100_000)
        async for chunk in super().read(key, offset=offset, limit=limit, chunk_bytes=size):
            await asyncio.sleep(self.chunk_seconds)
            self.num_bytes += len(chunk)
            yield chunk


@pytest.fixture
def registry(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "registry")


async def publish(registry: LocalObjectStore, folder: Path, *, seed: int = 0) -> PublishedVersion:
    published = await publish_model(write_model(folder, seed=seed), registry)
    registry.num_bytes = 0
    return published


def open_cache(
    tmp_path: Path, registry: LocalObjectStore, *, budget_bytes: int = 1 << 30
) -> ModelCache:
    return ModelCache(tmp_path / "cache", registry, budget_bytes=budget_bytes)


async def fetch(cache: ModelCache, version: PublishedVersion) -> Path:
    async with cache.using(version) as folder:
        return folder


def cached_ids(tmp_path: Path) -> set[str]:
    return {path.parts[-4] for path in (tmp_path / "cache").glob("*/*/*/weights")}


async def test_a_model_is_fetched_once_and_is_what_was_published(
    s3_url: str, tmp_path: Path
) -> None:
    store = open_object_store(s3_url)
    published = await publish_model(write_model(tmp_path / "tiny"), store)
    cache = open_cache(tmp_path, store)
    async with cache.using(published) as folder:
        assert (folder / WEIGHTS).read_bytes() == (tmp_path / "tiny" / WEIGHTS).read_bytes()
    await store.delete_prefix("tiny")
    assert await fetch(cache, published) == folder
    assert cache.find("tiny") == cache.find("tiny", "1") == [published]
    assert cache.find("tiny", "2") == cache.find("other") == []


_FETCH_SLOWLY = """
import asyncio, sys
from pathlib import Path
import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
sys.path[:0] = [{tests!r}]
from worker.test_model_cache import CountingStore, open_cache
from telecine.worker.model_registry import ModelRegistry

async def main():
    store = CountingStore(Path({folder!r}) / "registry")
    published = (await ModelRegistry(store).read("tiny@1")).published
    store.chunk_seconds = {chunk_seconds}
    async with open_cache(Path({folder!r}), store).using(published):
        print(store.num_bytes, flush=True)
        await asyncio.sleep({hold_seconds})

asyncio.run(main())
"""


Fetch = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start_fetch(tmp_path: Path) -> Iterator[Fetch]:
    """Starts processes that fetch the model, print the bytes they have read, and keep it."""
    processes = []

    def start(*, chunk_seconds: float, hold_seconds: float = 0.0) -> "subprocess.Popen[bytes]":
        source = _FETCH_SLOWLY.format(
            tests=str(Path(__file__).parents[1]),
            folder=str(tmp_path),
            chunk_seconds=chunk_seconds,
            hold_seconds=hold_seconds,
        )
        process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


async def until_begun(tmp_path: Path, num_bytes: int) -> None:
    async with asyncio.timeout(60):
        while True:
            for path in (tmp_path / "cache").glob(f"tiny/1/*/partial/{WEIGHTS}"):
                if path.stat().st_size > num_bytes:
                    return
            await asyncio.sleep(0.05)


async def test_a_fetch_whose_process_was_killed_is_resumed(
    registry: CountingStore, start_fetch: Fetch, tmp_path: Path
) -> None:
    published = await publish(registry, tmp_path / "tiny")
    process = start_fetch(chunk_seconds=0.1)
    await until_begun(tmp_path, 300_000)
    process.kill()
    process.wait()
    folder = await fetch(open_cache(tmp_path, registry), published)
    assert (folder / WEIGHTS).read_bytes() == (tmp_path / "tiny" / WEIGHTS).read_bytes()
    assert registry.num_bytes < published.manifest.size_bytes - 300_000
    assert not folder.with_name("partial").exists()


async def test_a_damaged_part_is_fetched_once_more(registry: CountingStore, tmp_path: Path) -> None:
    published = await publish(registry, tmp_path / "tiny")
    cache = open_cache(tmp_path, registry)
    partial = cache.folder_of(published).with_name("partial")
    (partial / "vae").mkdir(parents=True)
    (partial / WEIGHTS).write_bytes(b"damaged")
    (partial / "model.json").write_bytes(b"x" * 5000)
    folder = await fetch(cache, published)
    assert (folder / WEIGHTS).read_bytes() == (tmp_path / "tiny" / WEIGHTS).read_bytes()


async def test_two_processes_fetch_a_model_once(
    registry: CountingStore, start_fetch: Fetch, tmp_path: Path
) -> None:
    published = await publish(registry, tmp_path / "tiny")
    processes = [start_fetch(chunk_seconds=0.02) for _ in range(2)]
    read_here, _ = registry.num_bytes, await fetch(open_cache(tmp_path, registry), published)
    outputs = [
        (await asyncio.to_thread(process.communicate, timeout=60))[0] for process in processes
    ]
    assert [process.returncode for process in processes] == [0, 0]
    total = registry.num_bytes - read_here + sum(map(int, outputs))
    # The two have read manifest and card besides.
    assert published.manifest.size_bytes <= total < published.manifest.size_bytes + 2_000


async def test_what_was_used_the_longest_time_ago_is_evicted(
    registry: CountingStore, tmp_path: Path
) -> None:
    versions = [
        await publish(registry, tmp_path / f"model-{index}", seed=index) for index in range(4)
    ]
    size_bytes = max(version.manifest.size_bytes for version in versions)
    cache = open_cache(tmp_path, registry, budget_bytes=3 * size_bytes)
    for index in (0, 1, 2, 0, 3):
        await fetch(cache, versions[index])
    assert cached_ids(tmp_path) == {"model-0", "model-2", "model-3"}
    assert list((tmp_path / "cache").glob(".evicted-*")) == []


async def test_what_another_process_has_just_evicted_makes_room_too(
    registry: CountingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await publish(registry, tmp_path / "old")
    new = await publish(registry, tmp_path / "new", seed=1)
    budget_bytes = old.manifest.size_bytes + 1000
    cache = open_cache(tmp_path, registry, budget_bytes=budget_bytes)
    other = open_cache(tmp_path, registry, budget_bytes=budget_bytes)
    await fetch(cache, old)
    evict = cache._evict
    monkeypatch.setattr(cache, "_evict", lambda entry: other._evict(entry) and evict(entry))
    await fetch(cache, new)
    assert cached_ids(tmp_path) == {"new"}


async def test_what_is_in_use_is_not_evicted(
    registry: CountingStore, start_fetch: Fetch, tmp_path: Path
) -> None:
    tiny = await publish(registry, tmp_path / "tiny")
    other = await publish(registry, tmp_path / "other", seed=1)
    process = start_fetch(chunk_seconds=0.0, hold_seconds=60.0)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    cache = open_cache(tmp_path, registry, budget_bytes=tiny.manifest.size_bytes + 1000)
    with pytest.raises(ModelError, match="does not fit"):
        await fetch(cache, other)
    assert cached_ids(tmp_path) == {"tiny"}
    process.kill()
    process.wait()
    await fetch(cache, other)
    assert cached_ids(tmp_path) == {"other"}


async def test_a_model_that_is_not_what_its_manifest_says_is_refused(
    registry: CountingStore, tmp_path: Path
) -> None:
    published = await publish(registry, tmp_path / "tiny")
    (tmp_path / "registry" / "tiny" / "1" / WEIGHTS).write_bytes(b"other")
    with pytest.raises(ModelError, match=r"tiny/1/vae/weights.safetensors is not as its manifest"):
        await fetch(open_cache(tmp_path, registry), published)
    assert cached_ids(tmp_path) == set()


async def test_a_registry_that_is_away_costs_nothing_that_was_fetched(
    registry: CountingStore, s3_credentials: None, tmp_path: Path
) -> None:
    published = await publish(registry, tmp_path / "tiny")
    away = open_object_store("s3://bucket/?endpoint=http://127.0.0.1:1&region=x")
    cache = open_cache(tmp_path, away)
    part = cache.folder_of(published).with_name("partial") / WEIGHTS
    part.parent.mkdir(parents=True)
    part.write_bytes((tmp_path / "tiny" / WEIGHTS).read_bytes()[:1000])
    with pytest.raises(ObjectStoreUnavailableError):
        await fetch(cache, published)
    assert part.stat().st_size == 1000
