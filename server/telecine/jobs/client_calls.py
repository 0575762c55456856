"""What clients do to videos, each in one atomic step (functions/client_calls.lua, pauses.lua)."""

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis

from telecine.errors import NotFoundError
from telecine.jobs import events, keys
from telecine.jobs.account_calls import encode_limits
from telecine.jobs.call_batcher import Argument
from telecine.jobs.fair_scheduler import MIN_STEP_UNITS, flow_name, resolve_tier
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_types import QueueLimits, Submission, VideoPage, VideoQuery
from telecine.jobs.kept_places import keep_place, kept_place
from telecine.jobs.store_answers import refusals_raised, to_video
from telecine.jobs.video_listing import list_page
from telecine.jobs.video_record import encode_submitted, new_record
from telecine.v1 import video_pb2

_GIB = 1 << 30
_QUEUED = events.state_event(video_pb2.Video.STATE_QUEUED)


class ClientCalls:
    """The client's half of JobStore.

    A call about one video may say whose it must be, `tenant`; for another's it raises
    NotFoundError, as if the video were not there.
    """

    _redis: Redis
    _library: FunctionLibrary
    _limits: QueueLimits
    _tier_weights: Mapping[video_pb2.Tier.ValueType, float]

    async def submit(self, submission: Submission) -> video_pb2.Video:
        """Queues a video and returns it; the same request again returns the same video.

        Raises:
            AlreadyExistsError: the request id was used for another request.
            QueueFullError: as many videos wait, of all tenants or of this one, as may.
            QuotaExceededError: the tenant has used what it may.
            RateLimitedError: it spends too fast.
        """
        (video,) = await self.submit_all((submission,))
        return video

    async def submit_all(self, submissions: Sequence[Submission]) -> list[video_pb2.Video]:
        """Queues videos, all or none; they differ in spec, prompt and request id alone.

        Raises:
            As `submit`.
        """
        records = [encode_submitted(submission) for submission in submissions]
        arguments: dict[str, Argument] = {"num_videos": len(submissions)}
        for number, (submission, record) in enumerate(zip(submissions, records, strict=True), 1):
            arguments[f"video:{number}"] = secrets.token_hex(10)
            arguments[f"request_id:{number}"] = submission.request_id
            arguments[f"submitted:{number}"] = record
        answers = await self._call("submit", arguments | self._shared_arguments(submissions[0]))
        return [
            to_video(answer, known=new_record(record))
            for answer, record in zip(answers, records, strict=True)
        ]

    def _shared_arguments(self, submission: Submission) -> dict[str, Argument]:
        tier = resolve_tier(submission.spec.tier)
        model = submission.spec.model.removeprefix("models/")
        start_within = submission.start_within_seconds
        return {
            "tenant": submission.tenant,
            "flow": flow_name(submission.tenant, tier),
            "weight": self._tier_weights[tier],
            "is_realtime": int(tier == video_pb2.TIER_REALTIME),
            "model": model,
            "pool": f"{model}:{math.ceil(submission.memory_bytes / _GIB)}",
            "fingerprint": submission.fingerprint,
            "num_inference_steps": submission.num_steps,
            "step_units": max(MIN_STEP_UNITS, submission.step_units),
            "start_within_seconds": "" if start_within is None else start_within,
            "max_queued": self._limits.max_queued,
            "max_queued_per_tenant": self._limits.max_queued_per_tenant,
            "queued_event": _QUEUED,
            "webhook_url": submission.webhook_url,
            "price": submission.price_microcredits,
            **encode_limits(submission.limits),
        }

    async def find_repeat(
        self, *, tenant: str, request_id: str, fingerprint: bytes
    ) -> video_pb2.Video | None:
        """Returns the video that this very request has made before, None where it has not.

        Raises:
            AlreadyExistsError: the request id was used for another request.
        """
        answer = await self._read(
            "find_repeat",
            {"tenant": tenant, "request_id": request_id, "fingerprint": fingerprint},
        )
        return None if answer is None else to_video(answer)

    async def get(self, name: str, *, tenant: str = "") -> video_pb2.Video:
        """Returns a video as it is now.

        Raises:
            NotFoundError: there is no such video.
        """
        return to_video(await self._read("get", asked(name, tenant)), name)

    async def list_videos(self, query: VideoQuery) -> VideoPage:
        """Returns a page of videos, newest first; pages stay stable while videos are added.

        A page may hold fewer videos than asked for and still not be the last.

        Raises:
            InvalidFieldError: `page_token` is none of this query.
        """
        return await list_page(self._redis, self._library, query)

    async def cancel(self, name: str, *, tenant: str = "") -> video_pb2.Video:
        """Ends a queued or paused video, asks the worker of a running one to, leaves others.

        Raises:
            NotFoundError: there is no such video.
        """
        cancelled = events.state_event(video_pb2.Video.STATE_CANCELLED)
        answer = await self._call("cancel", asked(name, tenant) | {"cancelled_event": cancelled})
        return to_video(answer, name)

    async def pause(self, name: str, *, tenant: str = "") -> video_pb2.Video:
        """Sets a queued video aside, asks the worker of a running one to do so after its slice.

        Raises:
            NotFoundError: there is no such video.
            VideoStateError: it has ended.
        """
        paused = events.state_event(video_pb2.Video.STATE_PAUSED)
        answer = await self._call("pause", asked(name, tenant) | {"paused_event": paused})
        return to_video(answer, name)

    async def resume(self, name: str, *, tenant: str = "") -> video_pb2.Video:
        """Queues a paused video at its old place, takes back a pause that has not happened yet.

        Raises:
            NotFoundError: there is no such video.
            VideoStateError: it has ended.
        """
        answer = await self._call("resume", asked(name, tenant) | {"queued_event": _QUEUED})
        return to_video(answer, name)

    async def delete(self, name: str, *, tenant: str = "") -> video_pb2.Video:
        """Removes a video that has ended and returns what it was.

        Raises:
            NotFoundError: there is no such video.
            VideoStateError: it has not ended.
        """
        return to_video(await self._call("delete", asked(name, tenant)), name)

    async def claim_expired(
        self, *, kept_seconds: float, max_videos: int, hold_seconds: int
    ) -> list[str]:
        """Returns the names of videos that ended so long ago.

        Others may claim those that are not deleted in the time.
        """
        arguments: dict[str, Argument] = {
            "kept_seconds": kept_seconds,
            "max_videos": max_videos,
            "hold_seconds": hold_seconds,
        }
        video_ids: Any = await self._call("claim_expired_videos", arguments)
        return [keys.video_name(video_id.decode()) for video_id in video_ids]

    async def keep_place(self, video: video_pb2.Video, *, tenant: str) -> None:
        """Remembers, for a while, where a deleted video stood in its tenant's list."""
        key = keys.place_key(self._library.queue, tenant, keys.video_id_of(video.name))
        await keep_place(self._redis, key, video.create_time.ToJsonString())

    async def find_place(self, name: str, *, tenant: str) -> Timestamp:
        """Returns the create time of a video, also of one whose place is remembered.

        Raises:
            NotFoundError: there is, and was, no such video.
        """
        try:
            return (await self.get(name, tenant=tenant)).create_time
        except NotFoundError:
            key = keys.place_key(self._library.queue, tenant, keys.video_id_of(name))
            place = await kept_place(self._redis, key)
            if place is None:
                raise
            create_time = Timestamp()
            create_time.FromJsonString(place)
            return create_time

    async def _call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        with refusals_raised():
            return await self._library.call(function, arguments)

    async def _read(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        with refusals_raised():
            return await self._library.read(function, arguments)


def asked(name: str, tenant: str) -> dict[str, Argument]:
    """Returns the arguments that say which video a call is about, and whose it must be."""
    return named(name) | {"tenant": tenant}


def named(name: str) -> dict[str, Argument]:
    """Returns the argument that says which video a call is about."""
    return {"video": keys.video_id_of(name)}
