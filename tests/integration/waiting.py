"""Waiting for other processes."""

import asyncio
from collections.abc import AsyncIterator, Callable

from telecine.client import AsyncClient
from telecine.v1 import model_pb2, video_pb2

Event = video_pb2.VideoEvent


async def until(condition: Callable[[], bool], *, timeout_seconds: float = 60.0) -> None:
    """Returns once `condition` holds."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.02)


async def next_event(events: AsyncIterator[Event], is_wanted: Callable[[Event], bool]) -> Event:
    """Returns the next event that is wanted."""
    async with asyncio.timeout(60.0):
        async for event in events:
            if is_wanted(event):
                return event
    raise AssertionError("the video ended without the event")


async def all_events(client: AsyncClient, name: str) -> list[Event]:
    """Returns every event of a video, from the first to its end."""
    async with asyncio.timeout(120.0):
        return [event async for event in client.watch_video(name)]


def is_step(num_steps: int) -> Callable[[Event], bool]:
    """Whether an event says that at least `num_steps` steps are done."""
    return lambda event: event.step_finished.step_index >= num_steps


def is_notice(reason: str) -> Callable[[Event], bool]:
    """Whether an event is a notice with that reason."""
    return lambda event: event.notice.reason == reason


def step_indexes(events: list[Event]) -> list[int]:
    """The steps of a log, in its order."""
    return [e.step_finished.step_index for e in events if e.HasField("step_finished")]


async def until_ready(client: AsyncClient) -> None:
    """Returns once a worker serves a model."""
    async with asyncio.timeout(60.0):
        while not await has_ready_model(client):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def until_all_ready(client: AsyncClient, *, num_models: int) -> None:
    """Returns once so many models are served."""
    async with asyncio.timeout(120.0):
        while await num_ready_models(client) < num_models:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)


async def next_model(client: AsyncClient) -> model_pb2.Model:
    """Returns a model once a worker has published one."""
    async with asyncio.timeout(60.0):
        while not (models := await client.list_models()):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    return models[0]


async def has_ready_model(client: AsyncClient) -> bool:
    """Whether a worker serves a model."""
    return await num_ready_models(client) > 0


async def num_ready_models(client: AsyncClient) -> int:
    """How many models are served."""
    models = await client.list_models()
    return sum(model.state == model_pb2.Model.STATE_READY for model in models)
