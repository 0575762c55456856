"""The models that this worker makes videos with, and which of them it can use now."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from telecine.errors import ModelError, ModelServerUnavailableError
from telecine.jobs.attention_strategy import video_bytes
from telecine.jobs.job_types import Capability
from telecine.v1 import model_pb2, video_pb2
from telecine.worker.model_registry import RegisteredModel
from telecine.worker.model_residency import ModelResidency
from telecine.worker.model_server_watch import ModelServerWatch
from telecine.worker.served_models import ServedModels
from telecine.worker.video_inputs import num_clip_frames

MODEL_NOT_LOADED = "MODEL_NOT_LOADED"
# A model that did not load gets another try after this long, with the next video that needs it.
_SHUN_SECONDS = 60.0


class WorkerModels:
    """Says what the worker can make, and keeps a video's model loaded while it is made.

    Args:
        served: what it was told to serve.
        residency: what the model server holds in memory.
        watch: whether the model server answers.
        memory_bytes: device memory that it may fill; 0 for no limit.
    """

    def __init__(
        self,
        served: ServedModels,
        residency: ModelResidency,
        *,
        watch: ModelServerWatch,
        memory_bytes: int,
    ) -> None:
        self._served = served
        self._models = served.models
        self._residency = residency
        self._watch = watch
        self._memory_bytes = memory_bytes
        self._failure_times: dict[str, float] = {}
        self._removed: set[str] = set()

    @property
    def cards(self) -> tuple[model_pb2.Model, ...]:
        """What clients are told of each of its models."""
        return tuple(model.card for model in self._models.values())

    def model_ids(self) -> tuple[str, ...]:
        """Returns the models that it serves."""
        return tuple(self._models)

    def capability(self) -> Capability:
        """Returns what the worker can make: its models but those that lately did not load."""
        return Capability(
            models=tuple(model for model in self._models if not self.is_shunned(model)),
            loaded_models=self.loaded_models(),
            memory_bytes=self._memory_bytes,
        )

    def loaded_models(self) -> tuple[str, ...]:
        """Returns those of its models that are loaded, as far as it knows."""
        if not self._watch.was_ready:
            return ()
        return tuple(model for model in self._residency.loaded_models() if model in self._models)

    def digest_of(self, model_id: str) -> str:
        """Returns the digest of a model's weights as they are here.

        Raises:
            ModelError: it was removed.
        """
        return self._model(model_id).card.digest

    def needs_image(self, model_id: str) -> bool:
        """Whether a model always reads a first frame; raises as `digest_of` does."""
        return self._model(model_id).card.limits.is_image_required

    def is_shunned(self, model_id: str) -> bool:
        """Whether the model did not load lately."""
        failure_time = self._failure_times.get(model_id)
        return failure_time is not None and time.monotonic() - failure_time < _SHUN_SECONDS

    async def refresh(self) -> set[str]:
        """Looks at what there is to serve, and what the model server has loaded.

        A model server that is away holds nothing.

        Returns:
            The models that were removed and are unloaded by now.
        """
        self._removed |= await self._served.refresh()
        self._removed.difference_update(self._models)  # added again
        dropped = set()
        with suppress(ModelServerUnavailableError):
            for model_id in sorted(self._removed):
                if await self._residency.drop_unused(model_id):
                    dropped.add(model_id)
            await self._residency.refresh()
        self._removed -= dropped
        return dropped

    @asynccontextmanager
    async def using(self, video: video_pb2.Video) -> AsyncIterator[None]:
        """Keeps the video's model loaded, with room for the video, while the block lasts.

        Raises:
            ModelServerUnavailableError: the model server cannot be reached.
            ModelError: the model does not load, or does not fit.
        """
        model_id = video.spec.model.removeprefix("models/")
        async with AsyncExitStack() as stack:
            num_bytes = self._video_bytes(model_id, video)
            try:
                await stack.enter_async_context(
                    self._residency.using(model_id, video_bytes=num_bytes)
                )
            except ModelError:
                self._failure_times[model_id] = time.monotonic()
                raise
            self._failure_times.pop(model_id, None)
            yield

    async def close(self) -> None:
        """Lets go of the models' files; the model server keeps what it has loaded."""
        await self._residency.close()

    def _video_bytes(self, model_id: str, video: video_pb2.Video) -> int:
        limits = self._model(model_id).card.limits
        size = video.spec.size
        num_pixels = num_clip_frames(video) * size.width * size.height
        return video_bytes(limits, num_pixels, attention=video.attention)

    def _model(self, model_id: str) -> RegisteredModel:
        if model_id not in self._models:
            raise ModelError(f"{model_id} was removed from this worker")
        return self._models[model_id]
