"""Loads models, and reloads those whose process has died.

Triton never starts a model's process again by itself: it goes on saying that the model
is ready, and a plain load of a model whose files have not changed does nothing. A load
with another config does replace the process, also one that hangs, and the ensembles
that use the model follow.
"""

import asyncio
import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.inference.failures import translate

_INCARNATION = "incarnation"
"""A parameter that no model reads: a new value makes Triton load a model anew."""
_POLL_SECONDS = 0.05
# A server that hangs answers no more, though it keeps its connections.
QUERY_SECONDS = 30.0
_LOAD_SECONDS = 600.0
_UNLOAD_SECONDS = 60.0
_READY, _UNAVAILABLE = "READY", "UNAVAILABLE"


class ModelLoader:
    """Remembers which models' processes were found dead."""

    def __init__(self, triton: InferenceServerClient) -> None:
        self._triton = triton
        self._dead_models: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Remember a model that the calls within find dead."""
        try:
            yield
        except ModelServerUnavailableError as error:
            if error.dead_model:
                self._dead_models.add(error.dead_model)
            raise

    async def load_missing(self, model: str) -> None:
        """Load the roles of a model that are not loaded; see `TritonClient.load_model`."""
        try:
            names = (await self._states())[model]
            for name in names:
                if not await self._triton.is_model_ready(name, client_timeout=QUERY_SECONDS):
                    await self._triton.load_model(name, client_timeout=_LOAD_SECONDS)
        except InferenceServerException as error:
            raise translate(error) from error
        if not names:
            raise ModelError(f"Triton's repository has no model {model}")

    async def list_loaded(self) -> set[str]:
        """Return the models of which every role is loaded."""
        try:
            states = await self._states()
        except InferenceServerException as error:
            raise translate(error) from error
        return {model for model, roles in states.items() if set(roles.values()) == {_READY}}

    async def unload(self, model: str) -> None:
        """Unload every role of a model; return once their processes are gone.

        Raises:
            ModelServerUnavailableError: Triton cannot be reached, or a process does not end.
        """
        try:
            for name in (await self._states())[model]:
                await self._triton.unload_model(name, client_timeout=QUERY_SECONDS)
            async with asyncio.timeout(_UNLOAD_SECONDS):
                # Triton answers before it has ended them.
                while not await self._is_unloaded(model):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except InferenceServerException as error:
            raise translate(error) from error
        except TimeoutError:
            raise ModelServerUnavailableError(f"Triton does not unload {model}") from None

    async def reload_dead(self, model: str) -> None:
        """Give a new process to each role of a model that was found dead."""
        for name in sorted(self._dead_models):
            if name.startswith(f"{model}__"):
                try:
                    await self._reload(name)
                except InferenceServerException as error:
                    raise translate(error) from error
                self._dead_models.discard(name)

    async def _is_unloaded(self, model: str) -> bool:
        # A role that never loaded has no state.
        return set((await self._states())[model].values()) <= {_UNAVAILABLE, ""}

    async def _states(self) -> defaultdict[str, dict[str, str]]:
        """Return each model's roles, by their full names, with Triton's word for their state."""
        index = await self._triton.get_model_repository_index(client_timeout=QUERY_SECONDS)
        states: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for entry in index.models:
            states[entry.name.partition("__")[0]][entry.name] = entry.state
        return states

    async def _reload(self, name: str) -> None:
        answer = await self._triton.get_model_config(
            name, as_json=True, client_timeout=QUERY_SECONDS
        )
        config = answer["config"]
        # An ensemble has no process: it is one of its steps that is dead, and not said which.
        for step in config.get("ensemble_scheduling", {}).get("step", ()):
            await self._reload(step["model_name"])
        if "ensemble_scheduling" in config:
            return
        parameters = config.setdefault("parameters", {})
        parameters[_INCARNATION] = {"string_value": secrets.token_hex(4)}
        await self._triton.load_model(name, config=json.dumps(config), client_timeout=_LOAD_SECONDS)
