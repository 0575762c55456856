"""Tenants see what they use; operators set what they may."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from telecine.api import accounts
from telecine.api.caller import Caller, Scope
from telecine.config import QuotaSettings
from telecine.errors import PermissionDeniedError
from telecine.v1 import account_service_pb2 as service
from telecine.v1 import usage_pb2, video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
NAME = "tenants/default/quota"


@pytest.fixture
def sections() -> dict[str, Any]:
    return {"quota": QuotaSettings(max_open_videos=2)}


def update(quota: usage_pb2.Quota, *paths: str) -> service.UpdateQuotaRequest:
    quota.name = quota.name or NAME
    return service.UpdateQuotaRequest(quota=quota, update_mask=FieldMask(paths=paths))


async def test_estimate_is_what_a_video_reserves_and_takes_nothing(gateway: Any) -> None:
    spec = video_pb2.VideoSpec(prompt="a red circle", fps=8, tier=video_pb2.TIER_PREMIUM)
    request = video_service_pb2.EstimateCostRequest(spec=spec)
    estimate = await gateway.videos.EstimateCost(request)
    assert estimate.microcredits == -(-1_500_000 * 17 * 128 * 128 // (8 * 1_000_000))
    assert estimate.num_frames == 17
    assert not estimate.HasField("available_microcredits")
    assert not estimate.spec.HasField("seed")
    usage = await gateway.accounts.GetUsage(service.GetUsageRequest())
    assert usage.num_open_videos == usage.reserved_microcredits == 0
    video = await gateway.create(fps=8, tier=video_pb2.TIER_PREMIUM)
    assert video.estimated_microcredits == estimate.microcredits
    usage = await gateway.accounts.GetUsage(service.GetUsageRequest())
    assert usage.name == "tenants/default/usage"
    assert (usage.num_open_videos, usage.reserved_microcredits) == (1, estimate.microcredits)


async def test_video_and_ledger_show_what_was_charged(gateway: Any) -> None:
    await gateway.create()
    video = await gateway.finish(await gateway.claim(), b"a file")
    assert video.charged_microcredits == video.estimated_microcredits > 0
    pages, token = [], ""
    for _ in range(2):
        request = service.ListLedgerRequest(page_size=1, page_token=token)
        page = await gateway.accounts.ListLedger(request)
        pages.append([(entry.kind, entry.video) for entry in page.entries])
        token = page.next_page_token
    kind = usage_pb2.LedgerEntry
    assert pages == [[(kind.KIND_SETTLE, video.name)], [(kind.KIND_RESERVE, video.name)]]
    assert token == ""
    usage = await gateway.accounts.GetUsage(service.GetUsageRequest())
    assert usage.stored_bytes == len(b"a file")


async def test_quota_counts_at_once_and_its_end_is_told(gateway: Any, refused: Refused) -> None:
    await gateway.create()
    quota = await gateway.accounts.UpdateQuota(
        update(usage_pb2.Quota(daily_microcredits=40_000, max_open_videos=-1))
    )
    assert (quota.daily_microcredits, quota.max_open_videos) == (40_000, -1)
    refusal = await refused(gateway.create())
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
    )
    assert refusal.metadata["quota"] == "daily_microcredits"
    assert 0 < refusal.retry_seconds <= 86_400
    request = video_service_pb2.EstimateCostRequest(spec=video_pb2.VideoSpec(prompt="a"))
    estimate = await gateway.videos.EstimateCost(request)
    assert estimate.available_microcredits == 40_000 - estimate.microcredits
    usage = await gateway.accounts.GetUsage(service.GetUsageRequest())
    assert usage.day.limit_microcredits == 40_000


async def test_field_that_is_unset_again_is_that_of_the_settings(gateway: Any) -> None:
    own = usage_pb2.Quota(max_open_videos=9, tiers=[video_pb2.TIER_BATCH])
    await gateway.accounts.UpdateQuota(update(own))
    quota = await gateway.accounts.UpdateQuota(
        update(usage_pb2.Quota(), "max_open_videos", "tiers")
    )
    assert (quota.max_open_videos, list(quota.tiers)) == (2, [])
    assert quota == await gateway.accounts.GetQuota(service.GetQuotaRequest(name=NAME))


@pytest.mark.parametrize(
    ("request_message", "field"),
    [
        (update(usage_pb2.Quota(max_open_videos=-2)), "quota.max_open_videos"),
        (update(usage_pb2.Quota(requests_per_second=0)), "quota.requests_per_second"),
        (update(usage_pb2.Quota(daily_microcredits=2**53)), "quota.daily_microcredits"),
        (update(usage_pb2.Quota(tiers=[0])), "quota.tiers[0]"),  # type: ignore[list-item]
        (update(usage_pb2.Quota(), "name"), "update_mask.paths[0]"),
        (update(usage_pb2.Quota(name="tenants/a/b/quota")), "quota.name"),
    ],
)
async def test_quota_that_cannot_be_is_refused(
    gateway: Any, refused: Refused, request_message: Any, field: str
) -> None:
    refusal = await refused(gateway.accounts.UpdateQuota(request_message))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.mark.parametrize("token", ["%", "MTI=", "MS0yCg==", "MC0w"])
async def test_page_token_of_nobody_is_refused(gateway: Any, refused: Refused, token: str) -> None:
    refusal = await refused(
        gateway.accounts.ListLedger(service.ListLedgerRequest(page_token=token))
    )
    assert refusal.field == "page_token"


async def test_another_tenants_account_takes_the_admin_scope() -> None:
    tenant = Caller("alice", "key", frozenset(set(Scope) - {Scope.ADMIN}))
    parts: Any = SimpleNamespace()  # nothing of it is touched
    calls: list[Awaitable[object]] = [
        accounts.get_usage(parts, service.GetUsageRequest(name="tenants/bob/usage"), caller=tenant),
        accounts.list_ledger(parts, service.ListLedgerRequest(parent="tenants/bob"), caller=tenant),
        accounts.get_quota(parts, service.GetQuotaRequest(name="tenants/bob/quota"), caller=tenant),
        accounts.update_quota(
            parts, update(usage_pb2.Quota(name="tenants/alice/quota")), caller=tenant
        ),
    ]
    for call in calls:
        with pytest.raises(PermissionDeniedError) as refusal:
            await call
        assert refusal.value.scope == "admin"
