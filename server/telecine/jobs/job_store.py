"""The queue of videos: what clients and workers do to them, each in one atomic step.

Every change of a video's state is a Redis function (functions/*.lua); this is their Python
face. Workers write with a lease, whose fencing token each function checks.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import redis.exceptions
from redis.asyncio import Redis

from telecine.errors import (
    AlreadyExistsError,
    LeaseLostError,
    NotFoundError,
    QueueFullError,
    VideoStateError,
)
from telecine.jobs import events, keys
from telecine.jobs.fair_scheduler import MIN_COST_SECONDS, TIER_WEIGHTS, flow_name, resolve_tier
from telecine.jobs.function_library import Argument, FunctionLibrary
from telecine.jobs.job_types import (
    Assignment,
    CheckpointPointer,
    Directive,
    FinishedStep,
    Lease,
    Stage,
    Submission,
    VideoPage,
    VideoQuery,
)
from telecine.jobs.video_listing import list_page
from telecine.jobs.video_record import (
    assemble_video,
    decode_checkpoints,
    decode_record,
    encode_checkpoint,
    encode_submitted,
)
from telecine.jobs.wake_channel import WakeChannel
from telecine.v1 import video_pb2

MAX_LOST_LEASES = 3
_MAX_QUEUED = 10_000
_FULL_RETRY_SECONDS = 5.0
_WORKER_LOST = video_pb2.Failure(
    reason="WORKER_LOST", message=f"{MAX_LOST_LEASES} workers were lost while they made it"
)


class JobStore:
    """The videos of one shard.

    All methods raise StoreUnavailableError while Redis cannot be reached, and need no restart
    once it can be again.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        shard: str = "0",
        max_queued: int = _MAX_QUEUED,
        tier_weights: Mapping[video_pb2.Tier.ValueType, float] = TIER_WEIGHTS,
    ) -> None:
        self._redis = redis
        self._queue = keys.queue_key(shard)
        self._library = FunctionLibrary(redis, self._queue)
        self._wake = WakeChannel(redis, self._queue)
        self._max_queued = max_queued
        self._tier_weights = tier_weights

    async def close(self) -> None:
        """Ends the store's own connection; the client it was given stays open."""
        await self._wake.close()

    async def load_functions(self) -> None:
        """Loads the functions that this version was written for, beside older ones."""
        await self._library.load()

    async def submit(self, submission: Submission) -> video_pb2.Video:
        """Queues a video and returns it; the same request again returns the same video.

        Raises:
            AlreadyExistsError: the request id was used for another request.
            QueueFullError: as many videos wait as are allowed to.
        """
        tier = resolve_tier(submission.spec.tier)
        answer = await self._call(
            "submit",
            {
                "video": secrets.token_hex(10),
                "tenant": submission.tenant,
                "flow": flow_name(submission.tenant, tier),
                "weight": self._tier_weights[tier],
                "model": submission.spec.model.removeprefix("models/"),
                "request_id": submission.request_id,
                "fingerprint": submission.fingerprint,
                "submitted": encode_submitted(submission),
                "num_inference_steps": submission.spec.num_inference_steps,
                "cost_seconds": max(MIN_COST_SECONDS, submission.cost_seconds),
                "max_queued": self._max_queued,
                "queued_event": events.state_event(video_pb2.Video.STATE_QUEUED),
            },
        )
        return _to_video(answer)

    async def get(self, name: str) -> video_pb2.Video:
        """Returns a video as it is now.

        Raises:
            NotFoundError: there is no such video.
        """
        return _to_video(await self._call("get", _named(name)), name)

    async def list_videos(self, query: VideoQuery) -> VideoPage:
        """Returns a page of videos, newest first; pages stay stable while videos are added.

        A page may hold fewer videos than asked for and still not be the last.

        Raises:
            InvalidFieldError: `page_token` is none of this query.
        """
        return await list_page(self._redis, self._library, query)

    async def cancel(self, name: str) -> video_pb2.Video:
        """Ends a queued video, asks the worker of a running one to end it, leaves others.

        Raises:
            NotFoundError: there is no such video.
        """
        cancelled = events.state_event(video_pb2.Video.STATE_CANCELLED)
        answer = await self._call("cancel", _named(name) | {"cancelled_event": cancelled})
        return _to_video(answer, name)

    async def delete(self, name: str) -> video_pb2.Video:
        """Removes a video that has ended and returns what it was.

        Raises:
            NotFoundError: there is no such video.
            VideoStateError: it has not ended.
        """
        return _to_video(await self._call("delete", _named(name)), name)

    async def claim(
        self, worker_id: str, *, models: Sequence[str], lease_seconds: float
    ) -> Assignment | None:
        """Gives the next video of one of `models`, ids such as `toybox`, to a worker."""
        answer = await self._call(
            "claim",
            {
                "worker_id": worker_id,
                "models": ",".join(models),
                "lease_seconds": lease_seconds,
                "running_event": events.state_event(video_pb2.Video.STATE_RUNNING),
            },
        )
        if answer is None:
            return None
        record = decode_record(answer[0])
        video = _to_video(answer)
        lease = Lease(video.name, int(record[b"token"]), worker_id, lease_seconds)
        return Assignment(lease, video, decode_checkpoints(record))

    async def wait_for_work(self, timeout_seconds: float) -> None:
        """Returns when a video was queued since the last such wait, or after the time-out."""
        await self._wake.wait(timeout_seconds)

    async def heartbeat(self, lease: Lease) -> Directive:
        """Extends the lease, as every other write of its holder does.

        Raises:
            LeaseLostError: the video has gone to another worker, or has ended; so for all
                methods that take a lease.
        """
        return await self._hold("heartbeat", lease, {})

    async def enter_stage(self, lease: Lease, stage: Stage) -> Directive:
        """Logs that the worker entered a stage, and accounts the time of the one before."""
        event = events.stage_event(stage)
        return await self._hold("enter_stage", lease, {"stage": int(stage), "event": event})

    async def finish_step(self, lease: Lease, step: FinishedStep) -> Directive:
        """Logs a step that the device has finished, with its preview if it has one."""
        arguments: dict[str, Argument] = {
            "step_index": step.step_index,
            "event": events.step_event(step),
            "preview_event": events.preview_event(step),
        }
        return await self._hold("finish_step", lease, arguments)

    async def notify(self, lease: Lease, reason: str, message: str) -> Directive:
        """Logs something that the client may want to know."""
        return await self._hold("notify", lease, {"event": events.notice_event(reason, message)})

    async def announce_fragment(
        self, lease: Lease, fragment: video_pb2.VideoEvent.FragmentReady
    ) -> Directive:
        """Logs that more bytes of a file that is still being made can be downloaded."""
        return await self._hold(
            "announce_fragment", lease, {"event": events.fragment_event(fragment)}
        )

    async def commit_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> Directive:
        """Makes a stored checkpoint the one from which the video would be resumed."""
        arguments: dict[str, Argument] = {
            "checkpoint": encode_checkpoint(pointer),
            "step_index": pointer.step_index,
        }
        return await self._hold("commit_checkpoint", lease, arguments)

    async def complete(
        self, lease: Lease, artifacts: Sequence[video_pb2.Artifact]
    ) -> video_pb2.Video:
        """Ends the video SUCCEEDED with its artifacts."""
        arguments: dict[str, Argument] = {
            "event": events.state_event(video_pb2.Video.STATE_SUCCEEDED),
            "outcome": video_pb2.Video(artifacts=artifacts).SerializeToString(),
            "num_artifacts": len(artifacts),
        }
        for number, artifact in enumerate(artifacts, start=1):
            arguments[f"artifact_event_{number}"] = events.artifact_event(artifact)
        return await self._end("complete", lease, arguments)

    async def fail(self, lease: Lease, failure: video_pb2.Failure) -> video_pb2.Video:
        """Ends the video FAILED."""
        arguments: dict[str, Argument] = {
            "event": events.state_event(video_pb2.Video.STATE_FAILED, failure),
            "outcome": video_pb2.Video(failure=failure).SerializeToString(),
        }
        return await self._end("fail", lease, arguments)

    async def acknowledge_cancel(self, lease: Lease) -> video_pb2.Video:
        """Ends the video CANCELLED."""
        event = events.state_event(video_pb2.Video.STATE_CANCELLED)
        return await self._end("acknowledge_cancel", lease, {"event": event})

    async def requeue(self, lease: Lease, *, reason: str) -> video_pb2.Video:
        """Puts the video back to its place in its flow, with its checkpoints.

        One that was to be cancelled is cancelled instead.
        """
        message = "The video was handed back and waits for a worker."
        arguments: dict[str, Argument] = {
            "notice_event": events.notice_event(reason, message),
            "queued_event": events.state_event(video_pb2.Video.STATE_QUEUED),
            "cancelled_event": events.state_event(video_pb2.Video.STATE_CANCELLED),
        }
        return await self._end("requeue", lease, arguments)

    async def notify_waiting(self, model: str, *, reason: str, message: str) -> int:
        """Tells the videos that wait for a model, `toybox` say, why; returns how many heard it.

        Each hears a reason once, and none while a worker has the model ready.
        """
        event = events.notice_event(reason, message)
        arguments: dict[str, Argument] = {"model": model, "reason": reason, "event": event}
        return int(await self._call("notify_waiting", arguments))

    async def expire_leases(self) -> int:
        """Takes videos back whose leases have run out, and returns how many.

        They wait again at their old place; after three lost leases a video FAILED with
        WORKER_LOST. Safe to call from every worker.
        """
        message = "The worker was lost; the video goes on from its newest checkpoint."
        arguments: dict[str, Argument] = {
            "notice_event": events.notice_event("WORKER_LOST", message),
            "queued_event": events.state_event(video_pb2.Video.STATE_QUEUED),
            "cancelled_event": events.state_event(video_pb2.Video.STATE_CANCELLED),
            "failed_event": events.state_event(video_pb2.Video.STATE_FAILED, _WORKER_LOST),
            "failed_outcome": video_pb2.Video(failure=_WORKER_LOST).SerializeToString(),
            "max_lost_leases": MAX_LOST_LEASES,
        }
        return int(await self._call("expire_leases", arguments))

    async def _hold(
        self, function: str, lease: Lease, arguments: Mapping[str, Argument]
    ) -> Directive:
        leased: dict[str, Argument] = {"lease_seconds": lease.lease_seconds, **_of_lease(lease)}
        answer = await self._call(function, {**leased, **arguments})
        return Directive(is_cancelled=bool(answer))

    async def _end(
        self, function: str, lease: Lease, arguments: Mapping[str, Argument]
    ) -> video_pb2.Video:
        answer = await self._call(function, {**_of_lease(lease), **arguments})
        return _to_video(answer, lease.video_name)

    async def _call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        try:
            return await self._library.call(function, arguments)
        except redis.exceptions.ResponseError as error:
            refusal = _refusal(str(error))
            if refusal is None:
                raise
            raise refusal from None


def _named(name: str) -> dict[str, Argument]:
    return {"video": keys.video_id_of(name)}


def _of_lease(lease: Lease) -> dict[str, Argument]:
    return {**_named(lease.video_name), "token": lease.token}


def _to_video(answer: Sequence[Any], name: str = "") -> video_pb2.Video:
    record = decode_record(answer[0])
    if not record:
        raise NotFoundError(name)
    return assemble_video(record, queue_position=answer[1])


def _refusal(
    message: str,
) -> LeaseLostError | AlreadyExistsError | QueueFullError | VideoStateError | None:
    code, _, rest = message.partition(" ")
    detail = rest.split(" script: ")[0]  # Redis adds where the function stood
    match code:
        case "LEASE_LOST":
            return LeaseLostError(detail)
        case "ALREADY_EXISTS":
            return AlreadyExistsError(detail)
        case "QUEUE_FULL":
            full = f"{detail} videos wait already"
            return QueueFullError(full, retry_seconds=_FULL_RETRY_SECONDS)
        case "WRONG_STATE":
            return VideoStateError(f"not possible while the video is {detail}", state=detail)
        case _:
            return None
