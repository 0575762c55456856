"""What goes into the job store and what comes out of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from telecine.jobs.attention_strategy import FULL
from telecine.v1 import video_pb2

# Values of protobuf enums: ints at run time, types of their own for mypy.
VideoState: TypeAlias = video_pb2.Video.State.ValueType
Stage: TypeAlias = video_pb2.Stage.ValueType


@dataclass(frozen=True)
class RateBucket:
    """Something that a tenant or a key may take, so fast on average and so much at once."""

    name: str
    units_per_second: float
    burst: float


@dataclass(frozen=True)
class RateState:
    """How much a bucket holds now.

    Attributes:
        limit: what it can hold.
        remaining: what it holds.
        reset_seconds: when it will be full.
        retry_seconds: when there is enough for what was asked; 0 where it was given.
    """

    limit: int
    remaining: int
    reset_seconds: float
    retry_seconds: float


@dataclass(frozen=True)
class SpendingLimits:
    """How much a tenant may take on, as telecine.v1.Quota names it; None for no limit.

    Attributes:
        credit_buckets: what a video's price is taken from, in micro-credits.
    """

    max_open_videos: int | None = None
    max_stored_bytes: int | None = None
    daily_microcredits: int | None = None
    monthly_microcredits: int | None = None
    credit_buckets: tuple[RateBucket, ...] = ()


NO_LIMITS = SpendingLimits()


@dataclass(frozen=True)
class Submission:
    """A request for a video, checked and resolved, ready to be queued.

    Attributes:
        spec: every field resolved to the value that will be used.
        num_frames: frames of the video, 4k + 1.
        num_steps: denoising steps in all.
        tenant: who pays for it.
        request_id: the caller's id that makes the call safe to repeat; may be empty.
        fingerprint: a digest of the request as it was sent, to tell a repeat from a reuse.
        model_version: version of the model that will make it.
        model_digest: digest of that model's weights and configuration.
        expanded_prompt: the prompt that conditions the model, where it was expanded.
        warnings: what the caller should know about the request.
        step_units: what a step costs: megapixels of all frames x evaluations of the network.
        memory_bytes: GPU memory it needs; 0 where any worker will do.
        start_within_seconds: how long it may wait for its first worker; None for ever.
        attention: which frames see which; see telecine.jobs.attention_strategy.
        price_microcredits: what is reserved for it.
        limits: what the tenant may take on.
        webhook_url: who is told when it has ended; empty for nobody.
    """

    spec: video_pb2.VideoSpec
    num_frames: int
    num_steps: int
    tenant: str
    request_id: str
    fingerprint: bytes
    model_version: str
    model_digest: str
    expanded_prompt: str
    warnings: tuple[str, ...]
    step_units: float
    memory_bytes: int = 0
    start_within_seconds: float | None = None
    attention: str = FULL
    price_microcredits: int = 0
    limits: SpendingLimits = NO_LIMITS
    webhook_url: str = ""


@dataclass(frozen=True)
class QueueLimits:
    """How much may wait and run; a tenant's videos above `max_running_per_tenant` wait."""

    max_queued: int = 10_000
    max_queued_per_tenant: int = 2_000
    max_running_per_tenant: int = 64


@dataclass(frozen=True)
class Capability:
    """What a worker can make.

    Attributes:
        models: ids of the models it serves, such as `toybox`.
        loaded_models: those of them that are loaded; a switch to another one takes time.
        memory_bytes: GPU memory that it has for one video; 0 counts as without limit.
    """

    models: tuple[str, ...]
    loaded_models: tuple[str, ...]
    memory_bytes: int


@dataclass(frozen=True)
class Lease:
    """A worker's right to write to a video; `token` is what the store checks."""

    video_name: str
    token: int
    worker_id: str
    lease_seconds: float


@dataclass(frozen=True)
class CheckpointPointer:
    """Where a checkpoint lies and how to know that it is whole.

    Attributes:
        identity: digest of the model whose state it is; empty in older records.
    """

    key: str
    step_index: int
    digest: str
    size_bytes: int
    identity: str = ""


@dataclass(frozen=True)
class Assignment:
    """A video given to a worker, with its checkpoints, newest first."""

    lease: Lease
    video: video_pb2.Video
    checkpoints: tuple[CheckpointPointer, ...]


@dataclass(frozen=True)
class Directive:
    """What clients have asked of a video that a worker holds.

    A pause waits for the end of the slice, where `finish_slice` decides.
    """

    is_cancelled: bool
    is_pause_requested: bool = False


class Verdict(StrEnum):
    """What a worker should do after a slice; it holds the video until it says how it went."""

    CONTINUE = "CONTINUE"  # the next slice is charged
    YIELD = "YIELD"  # requeue: another video is due
    PAUSE = "PAUSE"  # acknowledge_pause
    CANCEL = "CANCEL"  # acknowledge_cancel


@dataclass(frozen=True)
class SliceReport:
    """A slice that the device has finished.

    Attributes:
        step_index: steps done with it.
        num_steps: those that the device did in it; steps that a video skips count as done, too.
        gpu_seconds: how long it held the device.
        checkpoint: where its state lies; None where it is not written.
        is_checkpoint_coming: whether it is being written: `commit_checkpoint` follows.
        last_step: its last step, where `finish_step` was not called for it: one call less.
    """

    step_index: int
    num_steps: int
    gpu_seconds: float
    checkpoint: CheckpointPointer | None
    is_checkpoint_coming: bool = False
    last_step: "FinishedStep | None" = None


@dataclass(frozen=True)
class FinishedStep:
    """A denoising step that the device has finished.

    Attributes:
        step_index: steps done, 1 for the first.
        num_inference_steps: steps in all.
        sigma: noise level after the step, 1 to 0.
        elapsed_seconds: time in the denoising stage so far.
        eta_seconds: estimated time until the video is done.
        preview: an encoded picture of the denoised estimate; empty for none.
        preview_content_type: its media type.
    """

    step_index: int
    num_inference_steps: int
    sigma: float
    elapsed_seconds: float
    eta_seconds: float
    preview: bytes = b""
    preview_content_type: str = ""


@dataclass(frozen=True)
class VideoQuery:
    """Which videos to list; empty fields ask for all.

    Attributes:
        tenant: whose videos.
        states: any of these.
        model: the model's full name, `models/{model}`.
        labels: all of these, as (key, value) pairs.
        create_time_from: created at this time or later; with a time zone.
        create_time_until: created before this time; with a time zone.
        page_size: videos a page, at least 1.
        page_token: where the page before ended.
        is_oldest_first: whether the order is that of their making, not the reverse.
    """

    tenant: str
    states: tuple[VideoState, ...] = ()
    model: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    create_time_from: datetime | None = None
    create_time_until: datetime | None = None
    page_size: int = 50
    page_token: str = ""
    is_oldest_first: bool = False


@dataclass(frozen=True)
class VideoPage:
    """A page of videos, in the order asked for; the token is empty on the last one."""

    videos: tuple[video_pb2.Video, ...]
    next_page_token: str
