"""Which models a Triton server holds in memory: those used last, as many as fit."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import structlog

from telecine.errors import ModelError
from telecine.inference.triton_client import TritonClient

_log = structlog.get_logger(__name__)

Provide = Callable[[str], AbstractAsyncContextManager[bool]]
"""Makes a model's files available to Triton while the context lasts; says whether they are new."""


@asynccontextmanager
async def _found_there(_: str) -> AsyncIterator[bool]:
    yield False


class ModelResidency:
    """Loads models when they are needed and unloads those used the longest time ago."""

    def __init__(
        self,
        triton: TritonClient,
        budget_bytes: int,
        *,
        memory_bytes: Mapping[str, int] | None = None,
        provide: Provide = _found_there,
    ) -> None:
        """Prepares the management of one Triton server's memory.

        Args:
            triton: the server.
            budget_bytes: what all loaded models and the videos they make may take; 0 for no limit.
            memory_bytes: what each model takes, by its id, looked up whenever it is needed; what
                is not named takes nothing.
            provide: called before a model is loaded; left once it is unloaded.
        """
        self._triton = triton
        self._budget_bytes = budget_bytes
        self._memory_bytes = {} if memory_bytes is None else memory_bytes
        self._provide = provide
        self._provided: dict[str, AsyncExitStack] = {}
        # Ordered by use, the longest time ago first.
        self._loaded: dict[str, None] = {}
        self._num_users: Counter[str] = Counter()
        # Held while Triton loads or unloads, which may take minutes.
        self._lock = asyncio.Lock()
        self._is_let_go = asyncio.Event()

    def loaded_models(self) -> tuple[str, ...]:
        """Returns the models that were loaded when this was last looked at, newest use first."""
        return tuple(reversed(self._loaded))

    async def refresh(self) -> None:
        """Looks at what Triton has loaded, unless it is loading or unloading a model.

        Raises:
            ModelServerUnavailableError: it cannot be reached.
        """
        if not self._lock.locked():
            async with self._lock:
                await self._refresh()

    async def ensure_loaded(self, model_id: str, *, video_bytes: int = 0) -> None:
        """Returns once a model is loaded and there is room for a video of so many bytes.

        Waits while the models in the way are in use; see `using`.

        Raises:
            ModelServerUnavailableError: Triton cannot be reached.
            ModelError: the model does not load, or does not fit even alone.
        """
        async with self.using(model_id, video_bytes=video_bytes):
            pass

    @asynccontextmanager
    async def using(self, model_id: str, *, video_bytes: int = 0) -> AsyncIterator[None]:
        """Keeps a model loaded while the block lasts; otherwise as `ensure_loaded`."""
        while not await self._take(model_id, video_bytes):
            await self._is_let_go.wait()
        try:
            yield
        finally:
            # Waits for nothing: a caller that is cancelled lets go all the same.
            self._num_users[model_id] -= 1
            self._is_let_go.set()
            self._is_let_go.clear()

    async def drop_unused(self, model_id: str) -> bool:
        """Unloads a model unless it is in use or another is loading; returns whether it is gone.

        Raises:
            ModelServerUnavailableError: Triton cannot be reached.
        """
        if self._lock.locked():
            return False
        async with self._lock:
            if self._num_users[model_id]:
                return False
            await self._unload(model_id)
            return True

    async def close(self) -> None:
        """Gives back what `provide` gave; Triton keeps what it has loaded."""
        for stack in self._provided.values():
            await stack.aclose()
        self._provided.clear()

    async def _refresh(self) -> None:
        found = await self._triton.list_loaded_models()
        known = [model for model in self._loaded if model in found]
        # What Triton has loaded by itself was not used yet.
        self._loaded = dict.fromkeys([*sorted(found.difference(known)), *known])

    async def _take(self, model_id: str, video_bytes: int) -> bool:
        """Loads a model for one more user; returns whether there is room for it now."""
        async with self._lock:
            await self._refresh()
            if not await self._make_room(model_id, video_bytes):
                return False
            await self._load(model_id)
            self._num_users[model_id] += 1
            return True

    async def _load(self, model_id: str) -> None:
        try:
            await self._provide_files(model_id)
            if model_id not in self._loaded:
                _log.info("model_load", model=model_id)
                await self._triton.load_model(model_id)
        except ModelError as error:
            _log.error("model_not_loaded", model=model_id, reason=error.message)
            # Some of its roles may be loaded and would take memory for nothing.
            await self._unload(model_id)
            raise
        self._loaded.pop(model_id, None)
        self._loaded[model_id] = None

    async def _make_room(self, model_id: str, video_bytes: int) -> bool:
        """Unloads what is in the way; returns whether that was enough."""
        needed_bytes = self._size_of(model_id) + video_bytes
        if needed_bytes > self._budget_bytes > 0:
            raise ModelError(
                f"{model_id} needs {needed_bytes} bytes for this video, and there are "
                f"{self._budget_bytes}"
            )
        while needed_bytes + self._used_bytes(besides=model_id) > self._budget_bytes > 0:
            victim = self._find_victim(model_id)
            if victim is None:
                return False
            _log.info("model_unload", model=victim)
            await self._unload(victim)
        return True

    def _find_victim(self, model_id: str) -> str | None:
        """Returns the model to unload next; one that takes nothing makes no room."""
        for model in self._loaded:
            if model != model_id and not self._num_users[model] and self._size_of(model):
                return model
        return None

    async def _unload(self, model_id: str) -> None:
        await self._triton.unload_model(model_id)
        self._loaded.pop(model_id, None)
        if stack := self._provided.pop(model_id, None):
            await stack.aclose()

    async def _provide_files(self, model_id: str) -> None:
        if model_id not in self._provided:
            async with AsyncExitStack() as stack:
                if await stack.enter_async_context(self._provide(model_id)):
                    # What a worker before this one has left loaded may be of another version.
                    await self._triton.unload_model(model_id)
                    self._loaded.pop(model_id, None)
                self._provided[model_id] = stack.pop_all()

    def _used_bytes(self, *, besides: str) -> int:
        return sum(self._size_of(model) for model in self._loaded if model != besides)

    def _size_of(self, model_id: str) -> int:
        return self._memory_bytes.get(model_id, 0)
