"""Calls are counted, told of and refused; what nobody limits costs nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from telecine.api.grpc_server import rate_limit_interceptors
from telecine.config import QuotaSettings
from telecine.v1 import model_service_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
CALLS = 500  # one a second flows back, and no machine is that slow


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"quota": QuotaSettings(requests_per_second=1, burst_seconds=3)}


async def use_up(gateway: Any) -> None:
    for _ in range(CALLS):
        try:
            await gateway.models.ListModels(model_service_pb2.ListModelsRequest())
        except grpc.aio.AioRpcError:
            return
    pytest.fail(f"{CALLS} calls passed")


async def test_answer_tells_what_is_left(gateway: Any) -> None:
    call = gateway.models.ListModels(model_service_pb2.ListModelsRequest())
    await call
    metadata = dict(await call.trailing_metadata())
    assert metadata["x-ratelimit-limit"] == "3"
    assert metadata["x-ratelimit-remaining"] == "2"
    assert 0 < float(metadata["x-ratelimit-reset"]) <= 1


async def test_call_that_comes_too_early_is_told_when_to_come(
    gateway: Any, refused: Refused
) -> None:
    await use_up(gateway)
    refusal = await refused(gateway.create())
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
    )
    assert 0 < refusal.retry_seconds <= 1
    assert refusal.metadata["remaining"] == "0"


async def test_streams_are_counted_too_and_probes_are_not(gateway: Any, refused: Refused) -> None:
    video = await gateway.create()
    await use_up(gateway)
    watch = gateway.videos.WatchVideo(video_service_pb2.WatchVideoRequest(name=video.name))
    assert (await refused(watch.read())).reason == "RATE_LIMITED"
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        probe = health_pb2_grpc.HealthStub(channel)
        for _ in range(5):
            await probe.Check(health_pb2.HealthCheckRequest())


def test_without_a_limit_nothing_stands_around_a_call() -> None:
    assert rate_limit_interceptors(None) == []
