"""Reads the models that a worker is to serve, and has those of a registry at hand for Triton."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import structlog

from telecine.config import WorkerSettings
from telecine.errors import ModelError, ObjectStoreUnavailableError
from telecine.inference.encoder_manifest import find_platforms, find_problem
from telecine.storage import open_object_store
from telecine.worker.absent_models import RETRY_SECONDS, AbsentModels
from telecine.worker.added_models import AddedModels, FoundModels
from telecine.worker.model_cache import ModelCache
from telecine.worker.model_registry import ModelRegistry, RegisteredModel, RejectedModel
from telecine.worker.triton_repository import install_model, remove_model

_log = structlog.get_logger(__name__)


class ServedModels:
    """The models of one worker; made by `read`.

    Attributes:
        models: all of them by id, as they are now; the same mapping, changed by `refresh`.
        memory_bytes: what each of them takes when it is loaded; likewise.
    """

    def __init__(
        self,
        models: tuple[RegisteredModel, ...],
        *,
        cache: ModelCache | None = None,
        repository: Path | None = None,
        added: AddedModels | None = None,
        absent: AbsentModels | None = None,
    ) -> None:
        self._named = {model.model_id: model for model in models}
        self._models = dict(self._named)
        self._memory_bytes: dict[str, int] = {}
        self._cache = cache
        self._repository = repository
        self._added = added
        self._found = FoundModels()
        self._absent = absent
        self._note_memory()

    @classmethod
    async def read(cls, options: WorkerSettings) -> Self:
        """Reads the models that the settings name; those that cannot be served are logged.

        Where there is nothing to serve yet it waits for a registry that is away; otherwise
        `refresh` looks for what is missing.

        Raises:
            ValueError: none of them can be served.
        """
        registry, cache = open_registry(options)
        while not (found := await registry.read_all(options.models)).models:
            _tell_rejected(found.rejected)
            if not any(rejected.may_come for rejected in found.rejected):
                raise ValueError("; ".join(rejected.reason for rejected in found.rejected))
            await asyncio.sleep(RETRY_SECONDS)
        _tell_rejected(found.rejected)
        absent = [rejected.weights for rejected in found.rejected if rejected.may_come]
        folder = options.added_models_folder
        served = cls(
            found.models,
            cache=cache,
            repository=options.triton_repository,
            added=AddedModels(folder) if folder else None,
            absent=AbsentModels(registry, absent),
        )
        await served.refresh()
        return served

    @property
    def models(self) -> Mapping[str, RegisteredModel]:
        """See the class."""
        return self._models

    @property
    def memory_bytes(self) -> Mapping[str, int]:
        """See the class."""
        return self._memory_bytes

    async def refresh(self) -> set[str]:
        """Looks for models that were added or removed; returns the ids of those that are gone."""
        found = await asyncio.to_thread(self._added.read_if_changed) if self._added else None
        late = self._absent.take_found() if self._absent else ()
        if found is None and not late:
            return set()
        if found is not None:
            # What is rejected is read again and again, and told once.
            _tell_rejected(set(found.rejected).difference(self._found.rejected))
            self._found = found
        self._named |= {model.model_id: model for model in late}
        before = set(self._models)
        added = {model.model_id: model for model in self._found.models}
        self._models.clear()
        self._models.update(added | self._named)
        self._note_memory()
        if self._models.keys() != before:
            _log.info("models_changed", models=sorted(self._models))
        return before - self._models.keys()

    @asynccontextmanager
    async def provide(self, model_id: str) -> AsyncIterator[bool]:
        """Keeps a published model's files where Triton finds them; a folder's are there anyway.

        Yields whether they were put there now.

        Raises:
            ModelError: they cannot be fetched, are not what was published, or are for another GPU.
        """
        model = self._models.get(model_id)
        published = model.published if model else None
        if published is None or self._cache is None or self._repository is None:
            await self._require_fitting_encoders(model_id)
            yield False
            return
        async with AsyncExitStack() as stack:
            try:
                weights = await stack.enter_async_context(self._cache.using(published))
            except ObjectStoreUnavailableError as error:
                raise ModelError(f"{published.prefix} cannot be fetched: {error}") from error
            repository = self._repository
            await asyncio.to_thread(install_model, weights, repository, model_id=model_id)
            stack.push_async_callback(asyncio.to_thread, remove_model, repository, model_id)
            yield True

    async def _require_fitting_encoders(self, model_id: str) -> None:
        """A plan for another GPU would end the model server: it is refused before it is loaded."""
        if self._repository is None:
            return
        platforms = await asyncio.to_thread(find_platforms)
        if problem := find_problem(self._repository, model_id, platforms):
            raise ModelError(problem)

    def _note_memory(self) -> None:
        self._memory_bytes.clear()
        self._memory_bytes.update(
            {name: model.card.limits.memory_bytes for name, model in self._models.items()}
        )


def _tell_rejected(models: Iterable[RejectedModel]) -> None:
    for rejected in models:
        _log.error("model_rejected", weights=rejected.weights, reason=rejected.reason)


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
