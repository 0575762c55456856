"""Which model and which tier a request comes to, as clients see it."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from telecine.api.request_router import with_tier
from telecine.config import QuotaSettings, RouterSettings
from telecine.v1 import model_pb2, model_service_pb2, video_pb2

BATCH, PREMIUM = video_pb2.TIER_BATCH, video_pb2.TIER_PREMIUM
Refused = Callable[[Awaitable[object]], Awaitable[Any]]


@pytest.fixture
def sections() -> dict[str, Any]:
    aliases: dict[str, str | tuple[str, ...]] = {
        "fast": "toybox",
        "best": ("cinema", "studio", "toybox"),
        "gone": "nothing",
        "studio": ("studio", "toybox"),
    }
    return {
        "router": RouterSettings(aliases=aliases),
        "quota": QuotaSettings(tiers=("batch", "premium")),
    }


async def announce(gateway: Any, toybox: model_pb2.Model, name: str, *, is_served: bool) -> None:
    model = model_pb2.Model()
    model.CopyFrom(toybox)
    model.name = f"models/{name}"
    if is_served:
        await gateway.directory.publish(model, worker_id="w", ttl_seconds=60)
    else:
        await gateway.directory.record(model)


async def test_alias_makes_the_video_with_its_model_and_says_so(gateway: Any) -> None:
    video = await gateway.create(model="models/fast")
    assert video.spec.model == "models/toybox"
    assert (await gateway.claim()).video_name == video.name


async def test_first_model_that_is_served_is_taken(gateway: Any, toybox: model_pb2.Model) -> None:
    await announce(gateway, toybox, "cinema", is_served=False)
    await announce(gateway, toybox, "studio", is_served=True)
    assert (await gateway.create(model="models/best")).spec.model == "models/studio"


async def test_where_none_is_served_the_first_one_that_is_known_waits(
    gateway: Any, toybox: model_pb2.Model
) -> None:
    await gateway.directory.remove("toybox")
    for name in ("toybox", "studio"):
        await announce(gateway, toybox, name, is_served=False)
    assert (await gateway.create(model="models/best")).spec.model == "models/studio"


async def test_unknown_names_and_aliases_of_nothing_are_refused_alike(
    gateway: Any, refused: Refused
) -> None:
    for name in ("models/never", "models/gone"):
        refusal = await refused(gateway.create(model=name))
        assert (refusal.code, refusal.field) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "spec.model",
        )
        assert refusal.message.endswith(f"{name} does not exist; there are models/toybox")


async def test_models_show_their_aliases_and_are_found_by_them(gateway: Any) -> None:
    model = await gateway.models.GetModel(model_service_pb2.GetModelRequest(name="models/fast"))
    assert (model.name, list(model.aliases)) == ("models/toybox", ["best", "fast", "studio"])
    listed = await gateway.models.ListModels(model_service_pb2.ListModelsRequest())
    assert [list(model.aliases) for model in listed.models] == [["best", "fast", "studio"]]


async def test_model_that_is_an_alias_too_is_shown_as_itself(
    gateway: Any, toybox: model_pb2.Model
) -> None:
    await announce(gateway, toybox, "studio", is_served=False)
    assert (await gateway.create(model="models/studio")).spec.model == "models/toybox"
    shown = await gateway.models.GetModel(model_service_pb2.GetModelRequest(name="models/studio"))
    assert shown.name == "models/studio"


async def test_first_tier_of_the_tenant_is_the_default(gateway: Any) -> None:
    assert (await gateway.create()).spec.tier == video_pb2.TIER_BATCH
    assert (await gateway.create(tier=video_pb2.TIER_PREMIUM)).spec.tier == video_pb2.TIER_PREMIUM


async def test_tier_that_the_tenant_does_not_have_is_denied(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.create(tier=video_pb2.TIER_STANDARD))
    assert refusal.code == grpc.StatusCode.PERMISSION_DENIED
    assert refusal.message == "spec.tier: this tenant has BATCH, PREMIUM only"
    assert refusal.field == "spec.tier"
    refusal = await refused(gateway.create(tier=99))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "spec.tier")


def test_request_itself_stays_as_it_was_sent() -> None:
    asked = video_pb2.VideoSpec(prompt="a red circle")
    assert with_tier(asked, [BATCH, PREMIUM]).tier == BATCH
    assert asked == video_pb2.VideoSpec(prompt="a red circle")
    assert with_tier(asked, []) is asked


@pytest.mark.parametrize("aliases", [{"a b": "toybox"}, {"a": "toy/box"}, {"a": ()}])
def test_alias_that_no_request_could_name_is_refused(aliases: Any) -> None:
    with pytest.raises(ValueError, match="aliases"):
        RouterSettings(aliases=aliases)
