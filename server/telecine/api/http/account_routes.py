"""What videos would cost, what a tenant uses, and how much it may."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel

from telecine.api import accounts, videos
from telecine.api.http.api_document import body_content
from telecine.api.http.dependencies import Call, CallOf
from telecine.api.http.derivation import merged, source_of
from telecine.api.http.enum_words import enum_word
from telecine.api.http.option_objects import seconds_text
from telecine.api.http.pages import page_fields
from telecine.api.http.request_body import read_body
from telecine.api.http.video_object import size_text
from telecine.api.http.video_request import EstimateBody, duration_of, spec_of, upload_name
from telecine.api.quota_manager import NO_LIMIT
from telecine.errors import InvalidFieldError
from telecine.jobs.account_store import NUMBERS
from telecine.v1 import account_service_pb2, usage_pb2, video_pb2, video_service_pb2

router = APIRouter(prefix="/v1", tags=["account"])

_ANY_PROMPT = "."
_OTHERS_FIELDS = {
    "create": ("video", "strength", "total_seconds"),
    "edit": ("input_reference", "total_seconds"),
    "extend": ("input_reference", "strength"),
}


class CostEstimate(BaseModel):
    """What videos would cost, in millionths of a credit, and how they would be made."""

    object: Literal["cost_estimate"] = "cost_estimate"
    microcredits: int
    available_microcredits: int | None
    n: int
    model: str
    seconds: str
    size: str
    num_frames: int
    num_inference_steps: int
    fps: int
    tier: str
    audio_mode: str


class Period(BaseModel):
    """A day or a month, in UTC."""

    start_at: int
    end_at: int
    used_microcredits: int
    limit_microcredits: int | None


class UsageObject(BaseModel):
    """What a tenant uses; amounts are in millionths of a credit."""

    object: Literal["usage"] = "usage"
    reserved_microcredits: int
    spent_microcredits: int
    day: Period
    month: Period
    num_open_videos: int
    stored_bytes: int


class QuotaObject(BaseModel):
    """How much a tenant may use; null is no limit, and no tiers are all."""

    object: Literal["quota"] = "quota"
    monthly_microcredits: int | None
    daily_microcredits: int | None
    max_open_videos: int | None
    max_stored_bytes: int | None
    microcredits_per_second: int | None
    requests_per_second: int | None
    tiers: list[str]


class EntryObject(BaseModel):
    """A line of the ledger; amounts are in millionths of a credit, balances those after it."""

    id: str
    object: Literal["ledger_entry"] = "ledger_entry"
    created_at: int
    kind: Literal["reserve", "settle", "refund"]
    video_id: str
    amount_microcredits: int
    reserved_microcredits: int
    spent_microcredits: int


class EntryList(BaseModel):
    """A page of the ledger; `after=last_id` asks for the next one."""

    object: Literal["list"] = "list"
    data: list[EntryObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


@router.post("/videos/estimate", openapi_extra=body_content("EstimateBody"))
async def estimate_cost(call: CallOf) -> CostEstimate:
    """Say what videos would cost; none is made and nothing is taken."""
    async with read_body(call, EstimateBody) as body:
        spec = await _spec_of(call, body)
        spec.input_audio = _track_of(body)
        request = video_service_pb2.EstimateCostRequest(spec=spec)
        num_videos = body.n or 1
    estimate = await videos.estimate_cost(call.parts, request, caller=call.caller)
    return CostEstimate(
        microcredits=estimate.microcredits * num_videos,
        available_microcredits=_optional(estimate, "available_microcredits"),
        n=num_videos,
        num_frames=estimate.num_frames,
        **_shown(estimate.spec),
    )


@router.get("/usage")
async def get_usage(call: CallOf) -> UsageObject:
    """Return what the caller's tenant uses now."""
    request = account_service_pb2.GetUsageRequest()
    usage = await accounts.get_usage(call.parts, request, caller=call.caller)
    return UsageObject(
        reserved_microcredits=usage.reserved_microcredits,
        spent_microcredits=usage.spent_microcredits,
        day=_period(usage.day),
        month=_period(usage.month),
        num_open_videos=usage.num_open_videos,
        stored_bytes=usage.stored_bytes,
    )


@router.get("/quota")
async def get_quota(call: CallOf) -> QuotaObject:
    """Return how much the caller's tenant may use."""
    request = account_service_pb2.GetQuotaRequest()
    quota = await accounts.get_quota(call.parts, request, caller=call.caller)
    numbers: dict[str, int] = {name: getattr(quota, name) for name in NUMBERS}
    return QuotaObject(
        **{name: None if number == NO_LIMIT else number for name, number in numbers.items()},
        tiers=[enum_word(video_pb2.Tier.Name(tier), "TIER_") for tier in quota.tiers],
    )


@router.get("/ledger")
async def list_ledger(
    call: CallOf,
    *,
    after: Annotated[str | None, Query(description="The last id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Entries a page.")] = 20,
) -> EntryList:
    """List what the caller's tenant was charged, newest first."""
    request = account_service_pb2.ListLedgerRequest(page_size=limit)
    if after is not None:
        request.page_token = accounts.page_token_after(after)
    try:
        page = await accounts.list_ledger(call.parts, request, caller=call.caller)
    except InvalidFieldError:
        raise InvalidFieldError("after", "is not the id of an entry") from None
    shown = [_entry_object(entry) for entry in page.entries]
    return EntryList(**page_fields(shown, has_more=bool(page.next_page_token)))


async def _spec_of(call: Call, body: EstimateBody) -> video_pb2.VideoSpec:
    """Returns the spec that the route of that kind would make of the body."""
    _check_fields(body)
    prompt = body.prompt or _ANY_PROMPT
    if body.kind == "create":
        spec = spec_of(body, prompt=prompt, seconds=body.seconds)
        if body.input_reference is not None:
            spec.input_image = upload_name(body.input_reference.file_id)
        return spec
    if body.video is None:
        raise InvalidFieldError("video", f"must be there to {body.kind}")
    source, options = await source_of(call, body.video)
    assert isinstance(source, str)  # JSON holds no file
    if body.kind == "edit":
        spec = merged(options, spec_of(body, prompt=prompt, seconds=body.seconds))
        spec.edit.source = source
        if body.strength is not None:
            spec.edit.strength = body.strength
        return spec
    if body.seconds is None:
        raise InvalidFieldError("seconds", "must say how much is added")
    spec = merged(options, spec_of(body, prompt=prompt, seconds=body.total_seconds))
    spec.extend.source = source
    spec.extend.duration.CopyFrom(duration_of(body.seconds))
    return spec


def _track_of(body: EstimateBody) -> str:
    """Returns the name of the upload that is the sound track, empty for none."""
    if body.input_audio is None or isinstance(body.input_audio, str):
        return upload_name(body.input_audio) if body.input_audio else ""
    raise InvalidFieldError("input_audio", "must be the id of an upload: nothing is stored here")


def _check_fields(body: EstimateBody) -> None:
    for field in _OTHERS_FIELDS[body.kind]:
        if getattr(body, field) is not None:
            raise InvalidFieldError(field, f"is no field of kind {body.kind}")


def _shown(spec: video_pb2.VideoSpec) -> dict[str, Any]:
    return {
        "model": spec.model.removeprefix("models/"),
        "seconds": seconds_text(spec.duration),
        "size": size_text(spec.size),
        "num_inference_steps": spec.num_inference_steps,
        "fps": spec.fps,
        "tier": enum_word(video_pb2.Tier.Name(spec.tier), "TIER_"),
        "audio_mode": enum_word(video_pb2.AudioMode.Name(spec.audio_mode), "AUDIO_MODE_"),
    }


def _entry_object(entry: usage_pb2.LedgerEntry) -> EntryObject:
    kind: Any = enum_word(usage_pb2.LedgerEntry.Kind.Name(entry.kind), "KIND_")
    return EntryObject(
        id=entry.entry_id,
        created_at=_seconds(entry.entry_time),
        kind=kind,
        video_id=entry.video.removeprefix("videos/"),
        amount_microcredits=entry.amount_microcredits,
        reserved_microcredits=entry.reserved_microcredits,
        spent_microcredits=entry.spent_microcredits,
    )


def _period(period: usage_pb2.Usage.Period) -> Period:
    return Period(
        start_at=_seconds(period.start_time),
        end_at=_seconds(period.end_time),
        used_microcredits=period.used_microcredits,
        limit_microcredits=_optional(period, "limit_microcredits"),
    )


def _optional(message: usage_pb2.CostEstimate | usage_pb2.Usage.Period, field: Any) -> int | None:
    return getattr(message, field) if message.HasField(field) else None


def _seconds(instant: Timestamp) -> int:
    return instant.seconds
