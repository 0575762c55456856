"""The models a server has, with their limits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from telecine.v1 import model_pb2, model_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]


async def announce(gateway: Any, *names: str, ttl_seconds: float = 60) -> None:
    for name in names:
        model = model_pb2.Model(name=f"models/{name}")
        await gateway.directory.publish(model, worker_id="w", ttl_seconds=ttl_seconds)


async def test_model_is_shown_with_its_limits_and_defaults(gateway: Any) -> None:
    model = await gateway.models.GetModel(model_service_pb2.GetModelRequest(name="models/toybox"))
    assert model.state == model_pb2.Model.STATE_READY
    assert model.limits.max_num_frames == 33
    assert model.defaults.sampler == "euler"


async def test_pages_hold_every_model_once_by_name(gateway: Any) -> None:
    await announce(gateway, "wan", "abel", "mochi")
    seen = []
    request = model_service_pb2.ListModelsRequest(page_size=3)
    while True:
        page = await gateway.models.ListModels(request)
        seen.append([model.name for model in page.models])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == [["models/abel", "models/mochi", "models/toybox"], ["models/wan"]]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("page_token", {"page_token": "!"}),
        ("page_token", {"page_token": "AAAA"}),
        ("page_token", {"page_token": "\u00e4"}),
        ("page_size", {"page_size": -1}),
    ],
)
async def test_bad_list_request_is_refused(
    gateway: Any, refused: Refused, field: str, fields: dict[str, Any]
) -> None:
    refusal = await refused(
        gateway.models.ListModels(model_service_pb2.ListModelsRequest(**fields))
    )
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("name", ["", "toybox", "models/", "models/a/b"])
async def test_malformed_model_name_is_refused(gateway: Any, refused: Refused, name: str) -> None:
    refusal = await refused(gateway.models.GetModel(model_service_pb2.GetModelRequest(name=name)))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "name")


async def test_model_announced_a_moment_ago_can_be_asked_for(
    gateway: Any, refused: Refused
) -> None:
    assert (await refused(gateway.create(model="models/wan"))).field == "spec.model"
    model = model_pb2.Model()
    model.CopyFrom(await gateway.directory.get("toybox"))
    model.name = "models/wan"
    await gateway.directory.publish(model, worker_id="w", ttl_seconds=60)
    assert (await gateway.create(model="models/wan")).spec.model == "models/wan"


async def test_unknown_model_is_told_which_there_are(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.create(model="models/absent"))
    assert "models/toybox" in refusal.message


async def test_videos_of_a_model_without_a_live_worker_are_taken(gateway: Any) -> None:
    model = await gateway.directory.get("toybox")
    await gateway.directory.publish(model, worker_id="w", ttl_seconds=0.001)
    await asyncio.sleep(0.05)
    shown = await gateway.models.GetModel(model_service_pb2.GetModelRequest(name=model.name))
    assert shown.state == model_pb2.Model.STATE_UNAVAILABLE
    assert (await gateway.create()).name
