"""What workers do to videos, each in one atomic step (functions/worker_calls.lua, leases.lua).

Workers write with a lease, whose fencing token each function checks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from telecine.jobs import events
from telecine.jobs.call_batcher import Argument
from telecine.jobs.client_calls import named
from telecine.jobs.function_library import FunctionLibrary
from telecine.jobs.job_types import (
    Assignment,
    Capability,
    CheckpointPointer,
    Directive,
    FinishedStep,
    Lease,
    QueueLimits,
    SliceReport,
    Stage,
    Verdict,
)
from telecine.jobs.store_answers import to_video
from telecine.jobs.video_record import decode_checkpoints, decode_record, encode_checkpoint
from telecine.v1 import video_pb2

MAX_LOST_LEASES = 3
WORKER_LOST = "WORKER_LOST"
START_DEADLINE_EXCEEDED = "START_DEADLINE_EXCEEDED"

_CANCEL_ASKED, _PAUSE_ASKED = 1, 2
_RUNNING = events.state_event(video_pb2.Video.STATE_RUNNING)
_SUCCEEDED = events.state_event(video_pb2.Video.STATE_SUCCEEDED)
_OVERDUE = video_pb2.Failure(
    reason=START_DEADLINE_EXCEEDED, message="no worker was free within the time it could wait"
)


class WorkerCalls:
    """The worker's half of JobStore."""

    _library: FunctionLibrary
    _limits: QueueLimits
    _quantum_seconds: float

    async def claim(
        self,
        worker_id: str,
        *,
        capability: Capability,
        slice_steps: int,
        lease_seconds: float,
        claim_id: str = "",
    ) -> Assignment | None:
        """Gives the video that is next among those a worker can make, and charges its first slice.

        The same `claim_id` again gives the same assignment, while its lease stands.
        """
        answer = await self._call(
            "claim",
            {
                "worker_id": worker_id,
                **self._dispatching(capability, slice_steps),
                "lease_seconds": lease_seconds,
                "claim_id": claim_id,
                "max_running_per_tenant": self._limits.max_running_per_tenant,
                "running_event": _RUNNING,
                **_EXPIRY,
            },
        )
        if answer is None:
            return None
        record = decode_record(answer[0])
        video = to_video(answer)
        lease = Lease(video.name, int(record[b"token"]), worker_id, lease_seconds)
        self._library.memory.note_token(lease.token)
        return Assignment(lease, video, decode_checkpoints(record))

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

    async def finish_slice(
        self, lease: Lease, report: SliceReport, *, capability: Capability, slice_steps: int
    ) -> Verdict:
        """Accounts a slice, makes its checkpoint the one to resume from, says what comes next.

        Logs the last step of the slice too, where the report has it.

        Only CONTINUE charges the next slice. Safe to repeat.
        """
        arguments: dict[str, Argument] = {
            **self._dispatching(capability, slice_steps),
            **_leased(lease),
            "step_index": report.step_index,
            "num_steps": report.num_steps,
            "event": events.step_event(report.last_step) if report.last_step else "",
            "preview_event": events.preview_event(report.last_step) if report.last_step else "",
            "gpu_seconds": report.gpu_seconds,
            "checkpoint": encode_checkpoint(report.checkpoint) if report.checkpoint else "",
            "can_yield": int(report.checkpoint is not None or report.is_checkpoint_coming),
        }
        answer: bytes = await self._call("finish_slice", arguments)
        return Verdict(answer.decode())

    async def commit_checkpoint(self, lease: Lease, pointer: CheckpointPointer) -> Directive:
        """Makes a checkpoint the one to resume from that was not written when its slice ended."""
        arguments: dict[str, Argument] = {
            "checkpoint": encode_checkpoint(pointer),
            "step_index": pointer.step_index,
        }
        return await self._hold("commit_checkpoint", lease, arguments)

    async def notify(self, lease: Lease, reason: str, message: str) -> Directive:
        """Logs something that the client may want to know."""
        event = events.notice_event(reason, message)
        return await self._hold("notify", lease, {"event": event, "warning": ""})

    async def warn(self, lease: Lease, reason: str, message: str) -> Directive:
        """Adds a warning to the video, and logs it; the same one again changes nothing."""
        warning = video_pb2.Video(warnings=[message]).SerializeToString()
        event = events.notice_event(reason, message)
        return await self._hold("notify", lease, {"event": event, "warning": warning})

    async def announce_fragment(
        self, lease: Lease, fragment: video_pb2.VideoEvent.FragmentReady
    ) -> Directive:
        """Logs that more bytes of a file that is still being made can be downloaded."""
        return await self._hold(
            "announce_fragment", lease, {"event": events.fragment_event(fragment)}
        )

    async def complete(
        self,
        lease: Lease,
        artifacts: Sequence[video_pb2.Artifact],
        *,
        lip_sync: video_pb2.LipSync | None = None,
        gpu_seconds: float = 0.0,
    ) -> video_pb2.Video:
        """Ends the video SUCCEEDED with its artifacts; decoding them took `gpu_seconds`."""
        arguments: dict[str, Argument] = {
            "event": _SUCCEEDED,
            "outcome": video_pb2.Video(artifacts=artifacts, lip_sync=lip_sync).SerializeToString(),
            "num_artifacts": len(artifacts),
            "stored_bytes": sum(artifact.size_bytes for artifact in artifacts),
            "gpu_seconds": gpu_seconds,
        }
        for number, artifact in enumerate(artifacts, start=1):
            arguments[f"artifact_event_{number}"] = events.artifact_event(artifact)
        return await self._end("complete", lease, arguments)

    async def fail(self, lease: Lease, failure: video_pb2.Failure) -> video_pb2.Video:
        """Ends the video FAILED."""
        return await self._end("fail", lease, _failed(failure, event="event", outcome="outcome"))

    async def acknowledge_cancel(
        self, lease: Lease, *, gpu_seconds: float = 0.0
    ) -> video_pb2.Video:
        """Ends the video CANCELLED; `gpu_seconds` is what its unfinished slice used."""
        event = events.state_event(video_pb2.Video.STATE_CANCELLED)
        arguments: dict[str, Argument] = {"event": event, "gpu_seconds": gpu_seconds}
        return await self._end("acknowledge_cancel", lease, arguments)

    async def acknowledge_pause(self, lease: Lease) -> video_pb2.Video:
        """Sets the video aside PAUSED, or queues it where the pause was taken back meanwhile."""
        return await self._end("acknowledge_pause", lease, _RETURN)

    async def requeue(
        self, lease: Lease, *, reason: str, counts_as_loss: bool = False
    ) -> video_pb2.Video:
        """Puts the video back to its place in its flow, with its checkpoints.

        One that was to be cancelled or paused is that instead. `counts_as_loss` is for a video
        that broke what it ran on: after three losses in a row it ends FAILED.
        """
        message = "The video was handed back and waits for a worker."
        arguments: dict[str, Argument] = {
            **_RETURN,
            **_abandoned(f"; the last time: {reason}"),
            "notice_event": events.notice_event(reason, message),
            "counts_as_loss": int(counts_as_loss),
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

        They wait again at their old place; after three losses without a finished slice between
        them a video ends FAILED with WORKER_LOST. Safe to call from every worker.
        """
        message = "The worker was lost; the video goes on from its newest checkpoint."
        arguments: dict[str, Argument] = {
            **_RETURN,
            **_abandoned(""),
            "notice_event": events.notice_event(WORKER_LOST, message),
        }
        return int(await self._call("expire_leases", arguments))

    async def expire_deadlines(self) -> int:
        """Ends videos FAILED that no worker claimed in time, and returns how many.

        Safe to call from every process.
        """
        return int(await self._call("expire_deadlines", _EXPIRY))

    async def _hold(
        self, function: str, lease: Lease, arguments: Mapping[str, Argument]
    ) -> Directive:
        asked = int(await self._call(function, {**_leased(lease), **arguments}))
        return Directive(
            is_cancelled=bool(asked & _CANCEL_ASKED),
            is_pause_requested=bool(asked & _PAUSE_ASKED),
        )

    async def _end(
        self, function: str, lease: Lease, arguments: Mapping[str, Argument]
    ) -> video_pb2.Video:
        answer = await self._call(function, {**_of_lease(lease), **arguments})
        return to_video(answer, lease.video_name)

    def _dispatching(self, capability: Capability, slice_steps: int) -> dict[str, Argument]:
        return {
            "models": ",".join(capability.models),
            "loaded_models": ",".join(capability.loaded_models),
            "memory_bytes": capability.memory_bytes,
            "slice_steps": slice_steps,
            "quantum_seconds": self._quantum_seconds,
        }

    async def _call(self, function: str, arguments: Mapping[str, Argument]) -> Any:
        raise NotImplementedError


def _of_lease(lease: Lease) -> dict[str, Argument]:
    return {**named(lease.video_name), "token": lease.token}


def _leased(lease: Lease) -> dict[str, Argument]:
    return {**_of_lease(lease), "lease_seconds": lease.lease_seconds}


def _failed(failure: video_pb2.Failure, *, event: str, outcome: str) -> dict[str, Argument]:
    return {
        event: events.state_event(video_pb2.Video.STATE_FAILED, failure),
        outcome: video_pb2.Video(failure=failure).SerializeToString(),
    }


def _abandoned(detail: str) -> dict[str, Argument]:
    lost = f"{MAX_LOST_LEASES} workers in a row were lost while they made it{detail}"
    failure = video_pb2.Failure(reason=WORKER_LOST, message=lost)
    return {
        **_failed(failure, event="failed_event", outcome="failed_outcome"),
        "max_lost_leases": MAX_LOST_LEASES,
    }


_EXPIRY = _failed(_OVERDUE, event="expired_event", outcome="expired_outcome")
# The events of a lease that ends without a result.
_RETURN: Mapping[str, Argument] = {
    "queued_event": events.state_event(video_pb2.Video.STATE_QUEUED),
    "paused_event": events.state_event(video_pb2.Video.STATE_PAUSED),
    "cancelled_event": events.state_event(video_pb2.Video.STATE_CANCELLED),
}
