"""Limits as a client of the dialect meets them: 429, when to come again, and what is left."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from telecine.config import QuotaSettings, RouterSettings
from telecine.v1 import account_service_pb2, usage_pb2

CALLS = 500  # one a second flows back, and no machine is that slow


@pytest.fixture
def sections() -> dict[str, Any]:
    return {
        "quota": QuotaSettings(requests_per_second=1, burst_seconds=4),
        "router": RouterSettings(aliases={"fast": "toybox"}),
    }


async def test_answers_tell_what_is_left_until_a_refusal_says_when_to_come(
    http: AsyncClient,
) -> None:
    first = await http.get("/v1/models/fast")
    assert first.json()["aliases"] == ["fast"]
    assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == (
        "4",
        "3",
    )
    for _ in range(CALLS):
        answer = await http.get("/v1/models")
        if answer.status_code != 200:
            break
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert "x-should-retry" not in answer.headers


async def test_used_up_quota_is_not_to_be_retried_at_once(http: AsyncClient, gateway: Any) -> None:
    quota = usage_pb2.Quota(name="tenants/default/quota", daily_microcredits=1)
    await gateway.accounts.UpdateQuota(account_service_pb2.UpdateQuotaRequest(quota=quota))
    answer = await http.post("/v1/videos", json={"prompt": "a red circle"})
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "quota_exceeded"
    assert answer.headers["x-should-retry"] == "false"


async def test_video_shows_its_price(http: AsyncClient) -> None:
    answer = await http.post("/v1/videos", json={"prompt": "a red circle", "model": "fast"})
    video = answer.json()
    assert video["model"] == "toybox"
    assert video["estimated_microcredits"] > 0
    assert video["charged_microcredits"] is None
