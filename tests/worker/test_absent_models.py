"""Models of a registry that is away when the worker begins."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from telecine.config import WorkerSettings
from telecine.errors import ObjectStoreUnavailableError
from telecine.storage.local_object_store import LocalObjectStore
from telecine.worker import served_models
from telecine.worker.absent_models import RETRY_SECONDS, AbsentModels
from telecine.worker.model_publishing import publish_model
from telecine.worker.model_registry import ModelRegistry, RegisteredModel
from telecine.worker.served_models import ServedModels


class FarStore(LocalObjectStore):
    """A store that cannot be reached for its first `num_failures` lists."""

    num_failures = 0

    async def list_keys(self, prefix: str = "") -> AsyncGenerator[str, None]:
        if self.num_failures > 0:
            self.num_failures -= 1
            raise ObjectStoreUnavailableError("the registry is away")
        async for key in super().list_keys(prefix):
            yield key


@pytest.fixture
async def store(tmp_path: Path) -> FarStore:
    """With `tiny` published."""
    weights = tmp_path / "tiny"
    weights.mkdir()
    (weights / "model.json").write_text('{"version": "1"}')
    store = FarStore(tmp_path / "registry")
    await publish_model(weights, store)
    return store


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def found_after_a_read(absent: AbsentModels) -> tuple[RegisteredModel, ...]:
    assert absent.take_found() == ()  # begins to read
    async with asyncio.timeout(10):
        while absent._reading is not None and not absent._reading.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return absent.take_found()


async def test_it_is_found_once_the_registry_is_back(store: FarStore) -> None:
    clock = Clock()
    absent = AbsentModels(ModelRegistry(store), ["tiny", "no_such"], clock=clock)
    store.num_failures = 2
    assert await found_after_a_read(absent) == ()  # too early, nothing was read
    assert store.num_failures == 2
    clock.now += RETRY_SECONDS
    assert await found_after_a_read(absent) == ()
    assert store.num_failures == 0
    clock.now += RETRY_SECONDS
    assert [model.model_id for model in await found_after_a_read(absent)] == ["tiny"]
    clock.now += RETRY_SECONDS
    assert absent.take_found() == ()
    assert absent._reading is None  # nothing is left to be found


async def test_a_worker_with_nothing_else_waits_for_its_registry(
    store: FarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(served_models, "open_registry", lambda _: (ModelRegistry(store), None))
    store.num_failures = 2
    served = await ServedModels.read(WorkerSettings(models=("tiny",)))
    assert set(served.models) == {"tiny"}


async def test_a_worker_serves_others_and_then_what_its_registry_has(
    store: FarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.worker.absent_models.RETRY_SECONDS", 0.0)
    monkeypatch.setattr(served_models, "open_registry", lambda _: (ModelRegistry(store), None))
    store.num_failures = 1
    served = await ServedModels.read(WorkerSettings(models=("toybox", "tiny")))
    assert set(served.models) == {"toybox"}
    async with asyncio.timeout(10):
        while "tiny" not in served.models:
            assert await served.refresh() == set()
            await asyncio.sleep(0.01)
    assert set(served.models) == {"toybox", "tiny"}
