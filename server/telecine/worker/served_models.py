"""Reads the models that a worker is to serve, and has those of a registry at hand for Triton."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import structlog

from telecine.config import WorkerSettings
from telecine.errors import ModelError, ObjectStoreUnavailableError
from telecine.storage import open_object_store
from telecine.worker.model_cache import ModelCache
from telecine.worker.model_registry import ModelRegistry, RegisteredModel
from telecine.worker.triton_repository import install_model, remove_model

_log = structlog.get_logger(__name__)


class ServedModels:
    """The models of one worker; made by `read`."""

    def __init__(
        self,
        models: tuple[RegisteredModel, ...],
        *,
        cache: ModelCache | None,
        repository: Path | None,
    ) -> None:
        self.models = models
        self._cache = cache
        self._repository = repository

    @classmethod
    async def read(cls, options: WorkerSettings) -> Self:
        """Reads the models that the settings name; those that cannot be served are logged.

        Raises:
            ValueError: none of them can be served.
        """
        registry, cache = open_registry(options)
        found = await registry.read_all(options.models)
        for rejected in found.rejected:
            _log.error("model_rejected", weights=rejected.weights, reason=rejected.reason)
        if not found.models:
            raise ValueError("; ".join(rejected.reason for rejected in found.rejected))
        return cls(found.models, cache=cache, repository=options.triton_repository)

    @asynccontextmanager
    async def provide(self, model_id: str) -> AsyncIterator[None]:
        """Keeps a published model's files where Triton finds them; a folder's are there anyway.

        Raises:
            ModelError: they cannot be fetched, or are not what was published.
        """
        published = {model.model_id: model.published for model in self.models}.get(model_id)
        if published is None or self._cache is None or self._repository is None:
            yield
            return
        async with AsyncExitStack() as stack:
            try:
                weights = await stack.enter_async_context(self._cache.using(published))
            except ObjectStoreUnavailableError as error:
                raise ModelError(f"{published.prefix} cannot be fetched: {error}") from error
            repository = self._repository
            await asyncio.to_thread(install_model, weights, repository, model_id=model_id)
            stack.push_async_callback(asyncio.to_thread, remove_model, repository, model_id)
            yield


def open_registry(options: WorkerSettings) -> tuple[ModelRegistry, ModelCache | None]:
    """Returns the registry that the settings name, and the cache of what is fetched from it.

    Raises:
        ValueError: there is a registry and no Triton repository to put its models into.
    """
    if not options.model_registry:
        return ModelRegistry(), None
    if options.triton_repository is None:
        raise ValueError("worker.triton_repository: needed where there is a worker.model_registry")
    store = open_object_store(options.model_registry)
    cache = ModelCache(options.model_cache_folder, store, budget_bytes=options.model_cache_bytes)
    return ModelRegistry(store, cache), cache
