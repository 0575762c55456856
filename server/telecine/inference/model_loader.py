"""Loads models, and reloads those whose process has died.

Triton never starts a model's process again by itself: it goes on saying that the model
is ready, and a plain load of a model whose files have not changed does nothing. A load
with another config does replace the process, also one that hangs, and the ensembles
that use the model follow.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.inference.failures import translate

_INCARNATION = "incarnation"
"""A parameter that no model reads: a new value makes Triton load a model anew."""


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
            index = await self._triton.get_model_repository_index()
            names = [entry.name for entry in index.models if entry.name.startswith(f"{model}__")]
            for name in names:
                if not await self._triton.is_model_ready(name):
                    await self._triton.load_model(name)
        except InferenceServerException as error:
            raise translate(error) from error
        if not names:
            raise ModelError(f"Triton's repository has no model {model}")

    async def reload_dead(self, model: str) -> None:
        """Give a new process to each role of a model that was found dead."""
        for name in sorted(self._dead_models):
            if name.startswith(f"{model}__"):
                try:
                    await self._reload(name)
                except InferenceServerException as error:
                    raise translate(error) from error
                self._dead_models.discard(name)

    async def _reload(self, name: str) -> None:
        answer = await self._triton.get_model_config(name, as_json=True)
        config = answer["config"]
        # An ensemble has no process: it is one of its steps that is dead, and not said which.
        for step in config.get("ensemble_scheduling", {}).get("step", ()):
            await self._reload(step["model_name"])
        if "ensemble_scheduling" in config:
            return
        parameters = config.setdefault("parameters", {})
        parameters[_INCARNATION] = {"string_value": secrets.token_hex(4)}
        await self._triton.load_model(name, config=json.dumps(config))
