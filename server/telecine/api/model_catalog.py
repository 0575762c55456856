"""The models that requests are checked against."""

import time
from collections.abc import Sequence

from telecine.errors import InvalidFieldError, UnavailableError
from telecine.jobs.model_directory import ModelDirectory
from telecine.v1 import model_pb2

_FRESH_SECONDS = 1.0


class ModelCatalog:
    """The directory's models, read at most once a second while all that is asked for is known.

    Every CreateVideo needs its model's limits, and they hardly ever change.
    """

    def __init__(self, directory: ModelDirectory) -> None:
        self.directory = directory
        self._models: dict[str, model_pb2.Model] = {}
        self._read_time = -_FRESH_SECONDS

    async def find(self, name: str, *, field: str) -> model_pb2.Model:
        """Returns the model of that name.

        Raises:
            InvalidFieldError: there is none; it names `field` and the models there are.
            UnavailableError: no worker has ever announced a model.
        """
        if not self._is_fresh() or name not in self._models:
            await self._read()
        if not self._models:
            raise UnavailableError("no worker has announced a model yet")
        if name not in self._models:
            known = ", ".join(sorted(self._models))
            raise InvalidFieldError(field, f"{name} does not exist; there are {known}")
        return self._models[name]

    async def find_known(self, names: Sequence[str]) -> list[model_pb2.Model]:
        """Returns those of the models that there are, in that order."""
        if names and not self._is_fresh():
            await self._read()
        return [self._models[name] for name in names if name in self._models]

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_time < _FRESH_SECONDS

    async def _read(self) -> None:
        self._read_time = time.monotonic()  # calls beside this one go on with what is known
        self._models = {model.name: model for model in await self.directory.list_models()}
