"""The models that workers publish."""

import asyncio

import pytest
from redis.asyncio import Redis

from telecine.errors import NotFoundError
from telecine.jobs.model_directory import ModelDirectory
from telecine.v1 import model_pb2

READY = model_pb2.Model.STATE_READY
UNAVAILABLE = model_pb2.Model.STATE_UNAVAILABLE


def make_model(model_id: str, version: str = "1") -> model_pb2.Model:
    return model_pb2.Model(name=f"models/{model_id}", version=version, family="toybox")


async def test_published_model_is_ready_and_models_come_by_name(client: Redis) -> None:
    directory = ModelDirectory(client)
    for model_id in ("wan", "toybox"):
        await directory.publish(make_model(model_id), worker_id="w", ttl_seconds=60)
    assert [model.name for model in await directory.list_models()] == [
        "models/toybox",
        "models/wan",
    ]
    assert (await directory.get("wan")).state == READY


async def test_model_of_a_lost_worker_stays_known_but_unavailable(client: Redis) -> None:
    directory = ModelDirectory(client)
    await directory.publish(make_model("toybox"), worker_id="w", ttl_seconds=0.01)
    await asyncio.sleep(0.05)
    assert (await directory.get("toybox")).state == UNAVAILABLE
    assert [model.state for model in await directory.list_models()] == [UNAVAILABLE]
    await directory.publish(make_model("toybox", version="2"), worker_id="v", ttl_seconds=60)
    model = await directory.get("toybox")
    assert (model.state, model.version) == (READY, "2")


async def test_model_that_none_published_is_not_found(client: Redis) -> None:
    directory = ModelDirectory(client)
    assert await directory.list_models() == []
    with pytest.raises(NotFoundError) as error:
        await directory.get("absent")
    assert error.value.resource_name == "models/absent"
