"""What VideoService does, for any edge: requests in, resources out, errors from the tree."""

import asyncio
import copy
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from telecine.api.caller import Caller
from telecine.api.gateway_parts import GatewayParts
from telecine.api.priced_requests import price_request
from telecine.api.request_validation import (
    check_labels,
    check_page_size,
    check_request_id,
    check_timestamp,
    check_video_name,
    parse_model_name,
)
from telecine.api.stored_files import has_ended, state_word
from telecine.api.video_inputs import use_uploads
from telecine.errors import InvalidFieldError, TelecineError, VideoStateError
from telecine.jobs.job_types import Submission, VideoQuery
from telecine.prompts.prompt_expander import Expansion, PromptLimits
from telecine.storage.keys import video_prefix
from telecine.v1 import usage_pb2, video_pb2, video_service_pb2

_LISTED_STATES = frozenset(video_pb2.Video.State.values()) - {video_pb2.Video.STATE_UNSPECIFIED}


async def create_video(
    parts: GatewayParts,
    request: video_service_pb2.CreateVideoRequest,
    *,
    caller: Caller,
    fingerprint: bytes = b"",
) -> video_pb2.Video:
    """Queues a video; the same request with the same id returns the same video.

    A `fingerprint` tells a repeat from another request where the request as sent cannot.
    """
    check_request_id(request.request_id)
    (video,) = await submit_all(
        parts, [request], caller=caller, fingerprint=fingerprint or fingerprint_of(request)
    )
    return video


async def submit_all(
    parts: GatewayParts,
    requests: Sequence[video_service_pb2.CreateVideoRequest],
    *,
    caller: Caller,
    fingerprint: bytes,
) -> list[video_pb2.Video]:
    """Queues videos that differ in seed and request id alone, all or none of them.

    Those that were made already are returned as they are.
    """
    if requests[0].spec.expand_prompt:
        # A chat model gives other words each time: a repeat is not expanded again.
        repeats = await find_repeats(parts, requests, fingerprint, caller=caller)
        if repeats:
            return repeats
    try:
        submissions = await asyncio.gather(
            *(_submission_of(parts, request, fingerprint, caller) for request in requests)
        )
    except TelecineError:
        # What the videos were made from may be gone: that makes no repeat fail.
        with suppress(TelecineError):
            repeats = await find_repeats(parts, requests, fingerprint, caller=caller)
            if repeats:
                return repeats
        raise
    return await parts.jobs.submit_all(submissions)


async def find_repeats(
    parts: GatewayParts,
    requests: Sequence[video_service_pb2.CreateVideoRequest],
    fingerprint: bytes,
    *,
    caller: Caller,
) -> list[video_pb2.Video]:
    """Returns the videos that these very requests have made before; none unless all are there.

    Raises:
        AlreadyExistsError: a request id was used for another request.
    """
    videos = []
    for request in requests:
        if not request.request_id:
            return []
        known = await parts.jobs.find_repeat(
            tenant=caller.tenant, request_id=request.request_id, fingerprint=fingerprint
        )
        if known is None:
            return []
        videos.append(known)
    return videos


async def _submission_of(
    parts: GatewayParts,
    request: video_service_pb2.CreateVideoRequest,
    fingerprint: bytes,
    caller: Caller,
) -> Submission:
    priced = await price_request(parts, request.spec, caller=caller)
    resolved, model = priced.resolved, priced.model
    await use_uploads(parts, resolved.spec)
    webhook_url = parts.webhooks.url_for(request.webhook_url, caller.tenant)
    expansion = Expansion("")
    if resolved.spec.expand_prompt:
        limits = PromptLimits(model.limits.max_prompt_tokens, resolved.spec.seed)
        expansion = await parts.expander.expand(resolved.spec.prompt, limits)
    return Submission(
        spec=resolved.spec,
        num_frames=resolved.num_frames,
        num_steps=resolved.num_steps,
        tenant=caller.tenant,
        request_id=request.request_id,
        fingerprint=fingerprint,
        model_version=model.version,
        model_digest=model.digest,
        expanded_prompt=expansion.prompt,
        warnings=expansion.warnings,
        step_units=resolved.step_units,
        memory_bytes=resolved.memory_bytes,
        start_within_seconds=resolved.start_within_seconds,
        attention=resolved.attention,
        price_microcredits=priced.price_microcredits,
        limits=priced.limits,
        webhook_url=webhook_url,
    )


async def estimate_cost(
    parts: GatewayParts, request: video_service_pb2.EstimateCostRequest, *, caller: Caller
) -> usage_pb2.CostEstimate:
    """Returns what a video would cost; nothing is reserved and nothing is taken."""
    priced = await price_request(parts, request.spec, caller=caller)
    if not request.spec.HasField("seed"):
        priced.resolved.spec.ClearField("seed")
    return usage_pb2.CostEstimate(
        microcredits=priced.price_microcredits,
        available_microcredits=await parts.quotas.available_microcredits(caller.tenant),
        spec=priced.resolved.spec,
        num_frames=priced.resolved.num_frames,
    )


async def get_video(
    parts: GatewayParts, request: video_service_pb2.GetVideoRequest, *, caller: Caller
) -> video_pb2.Video:
    """Returns one video as it is now."""
    check_video_name(request.name)
    return await parts.jobs.get(request.name, tenant=caller.tenant)


async def list_videos(
    parts: GatewayParts, request: video_service_pb2.ListVideosRequest, *, caller: Caller
) -> video_service_pb2.ListVideosResponse:
    """Returns a page of videos; fewer than asked for where they are large."""
    page_size = check_page_size(request.page_size)
    while True:
        page = await parts.jobs.list_videos(_query(request, page_size, caller))
        response = video_service_pb2.ListVideosResponse(
            videos=page.videos, next_page_token=page.next_page_token
        )
        if page_size == 1 or response.ByteSize() < parts.max_message_bytes:
            return response
        page_size //= 2


def watch_video(
    parts: GatewayParts, request: video_service_pb2.WatchVideoRequest, *, caller: Caller
) -> AsyncGenerator[video_pb2.VideoEvent, None]:
    """Yields a video's events, past and coming, until its end."""
    check_video_name(request.name)
    events = parts.hub.watch(request.name, after=request.after_event_id, tenant=caller.tenant)
    return _without_previews(events) if request.is_preview_omitted else events


async def watch_videos(
    parts: GatewayParts, request: video_service_pb2.WatchVideosRequest, *, caller: Caller
) -> AsyncGenerator[video_service_pb2.WatchVideosResponse, None]:
    """Yields the caller's videos that have not ended, then every change of any of them."""
    watching = parts.feed.watch(caller.tenant, after=request.after_event_id)
    async with aclosing(watching) as changes:
        async for change in changes:
            response = video_service_pb2.WatchVideosResponse(event_id=change.place)
            if change.video is not None:
                response.video.CopyFrom(change.video)
            elif change.name is not None:
                response.deleted_video = change.name
            elif change.is_gap:
                response.is_gap = True
            yield response


async def cancel_video(
    parts: GatewayParts, request: video_service_pb2.CancelVideoRequest, *, caller: Caller
) -> video_pb2.Video:
    """Stops a video; one that has ended stays as it is."""
    check_video_name(request.name)
    return await parts.jobs.cancel(request.name, tenant=caller.tenant)


async def pause_video(
    parts: GatewayParts, request: video_service_pb2.PauseVideoRequest, *, caller: Caller
) -> video_pb2.Video:
    """Sets a video aside, a running one at the end of its slice."""
    check_video_name(request.name)
    return await parts.jobs.pause(request.name, tenant=caller.tenant)


async def resume_video(
    parts: GatewayParts, request: video_service_pb2.ResumeVideoRequest, *, caller: Caller
) -> video_pb2.Video:
    """Queues a paused video again, or takes a pause back that has not happened yet."""
    check_video_name(request.name)
    return await parts.jobs.resume(request.name, tenant=caller.tenant)


async def delete_video(
    parts: GatewayParts, request: video_service_pb2.DeleteVideoRequest, *, caller: Caller
) -> None:
    """Removes a video that has ended, with its events and files."""
    check_video_name(request.name)
    video = await parts.jobs.get(request.name, tenant=caller.tenant)
    if not has_ended(video):
        state = state_word(video)
        raise VideoStateError(f"{video.name} is {state}; cancel it first", state=state)
    await parts.jobs.keep_place(video, tenant=caller.tenant)
    await remove_video(parts, request.name)


async def remove_video(parts: GatewayParts, name: str) -> None:
    """Removes a video that is known to have ended.

    Its files first, which count until then: what the object store does not take today can be
    tried again.
    """
    await parts.objects.delete_prefix(video_prefix(name))
    await parts.jobs.delete(name)


def fingerprint_of(
    request: video_service_pb2.CreateVideoRequest | video_service_pb2.BatchCreateVideosRequest,
) -> bytes:
    """Returns a digest of a request as sent, but for its id.

    Of the resolved one it would not do: a drawn seed would make a repeat look new.
    """
    sent = copy.deepcopy(request)
    sent.ClearField("request_id")
    return hashlib.sha256(sent.SerializeToString(deterministic=True)).digest()


def _query(
    request: video_service_pb2.ListVideosRequest, page_size: int, caller: Caller
) -> VideoQuery:
    for index, state in enumerate(request.states):
        if state not in _LISTED_STATES:
            raise InvalidFieldError(f"states[{index}]", f"{state} is not a state of a video")
    if request.model:
        parse_model_name(request.model, field="model")
    check_labels(request.labels, field="labels")
    has_from = request.HasField("create_time_from")
    has_until = request.HasField("create_time_until")
    return VideoQuery(
        tenant=caller.tenant,
        states=tuple(request.states),
        model=request.model,
        labels=tuple(request.labels.items()),
        create_time_from=_instant(request.create_time_from, "create_time_from")
        if has_from
        else None,
        create_time_until=_instant(request.create_time_until, "create_time_until")
        if has_until
        else None,
        page_size=page_size,
        page_token=request.page_token,
        is_oldest_first=request.is_oldest_first,
    )


def _instant(time: Timestamp, field: str) -> datetime:
    check_timestamp(time, field=field)
    return time.ToDatetime(tzinfo=UTC)


async def _without_previews(
    events: AsyncGenerator[video_pb2.VideoEvent, None],
) -> AsyncGenerator[video_pb2.VideoEvent, None]:
    async with aclosing(events):
        async for event in events:
            if event.WhichOneof("event") != "preview":
                yield event
