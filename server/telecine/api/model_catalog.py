"""The models that requests are checked against."""

import time

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
        is_fresh = time.monotonic() - self._read_time < _FRESH_SECONDS
        if not is_fresh or name not in self._models:
            self._read_time = time.monotonic()  # calls beside this one go on with what is known
            self._models = {model.name: model for model in await self.directory.list_models()}
        if not self._models:
            raise UnavailableError("no worker has announced a model yet")
        if name not in self._models:
            known = ", ".join(sorted(self._models))
            raise InvalidFieldError(field, f"{name} does not exist; there are {known}")
        return self._models[name]
