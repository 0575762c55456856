"""Requests of the service from plain Python values; shared by both clients."""

import mimetypes
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import SEEK_END
from pathlib import Path
from typing import Protocol, TypedDict

from telecine.v1 import video_pb2, video_service_pb2

UPLOAD_CHUNK_BYTES = 1 << 20
# What systems call them differs, and some know nothing of .webp.
_MEDIA_TYPES = {
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
}


class PageRequest(Protocol):
    """A request for one page of a list."""

    page_token: str


class Page(Protocol):
    """An answer to it; the token is empty on the last page."""

    next_page_token: str


class VideoOptions(TypedDict, total=False):
    """What a video may be asked for beside its prompt; what is left out is the model's default."""

    model: str
    negative_prompt: str
    seed: int
    num_inference_steps: int
    guidance_scale: float
    duration_seconds: float
    fps: int
    size: tuple[int, int]
    sampler: str
    audio_mode: video_pb2.AudioMode.ValueType
    tier: video_pb2.Tier.ValueType
    expand_prompt: bool
    input_image: str
    input_audio: str
    """The sound, taken as it is; with `audio_mode` JOINT the picture is made to it."""
    output_formats: Sequence[video_pb2.OutputFormat.ValueType]
    upscale: int
    labels: Mapping[str, str]
    start_within_seconds: float
    loras: Mapping[str, float]
    """Adapters of the model by name, each with its scale: 1 as it was trained."""
    edit_source: str
    """The video that is changed; excludes `input_image` and `extend_source`, as each does."""
    edit_strength: float
    extend_source: str
    """The video that is gone on with."""
    extend_seconds: float


@dataclass(frozen=True)
class VideoFilter:
    """Which videos a list is of; the default is all of them."""

    states: Sequence[video_pb2.Video.State.ValueType] = ()
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    create_time_from: datetime | None = None
    create_time_until: datetime | None = None


def create_video_request(
    prompt: str, options: VideoOptions, request_id: str | None, *, webhook_url: str = ""
) -> video_service_pb2.CreateVideoRequest:
    """Ask for a video; without an id the request gets a random one, so that a retry is safe."""
    if request_id is None:
        request_id = uuid.uuid4().hex
    return video_service_pb2.CreateVideoRequest(
        spec=video_spec(prompt, options), request_id=request_id, webhook_url=webhook_url
    )


def estimate_cost_request(
    prompt: str, options: VideoOptions
) -> video_service_pb2.EstimateCostRequest:
    """Ask what a video would cost."""
    return video_service_pb2.EstimateCostRequest(spec=video_spec(prompt, options))


def account_name(tenant: str, part: str) -> str:
    """Name the usage or the quota of a tenant; the own one's name is empty."""
    return f"{resource_name('tenants', tenant)}/{part}" if tenant else ""


def video_spec(prompt: str, options: VideoOptions) -> video_pb2.VideoSpec:
    """Put a prompt and what else is asked for into a spec.

    Raises:
        ValueError: an option's value cannot be sent, or there is no such option; it names which.
    """
    fields: dict[str, object] = {"prompt": prompt, **options}
    spec = video_pb2.VideoSpec()
    _take_durations(fields, spec)
    _take_sources(fields, spec)
    if (size := options.get("size")) is not None:
        fields.pop("size")
        with _naming("size"):
            spec.size.CopyFrom(video_pb2.Size(width=size[0], height=size[1]))
    if (loras := options.get("loras")) is not None:
        with _naming("loras"):
            fields["loras"] = [video_pb2.Lora(name=name, scale=loras[name]) for name in loras]
    if (model := options.get("model")) is not None:
        fields["model"] = resource_name("models", model)
    for name, value in fields.items():
        with _naming(name):
            spec.MergeFrom(video_pb2.VideoSpec(**{name: value}))  # type: ignore[arg-type]
    return spec


@contextmanager
def _naming(option: str) -> Iterator[None]:
    """Say which option it was whose value a message does not take."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{option}: {error}") from error


def create_videos_request(
    single: video_service_pb2.CreateVideoRequest, num_videos: int
) -> video_service_pb2.BatchCreateVideosRequest:
    """Ask for several of one video; a retry is as safe as that of one."""
    return video_service_pb2.BatchCreateVideosRequest(
        spec=single.spec,
        num_videos=num_videos,
        request_id=single.request_id,
        webhook_url=single.webhook_url,
    )


def _take_durations(fields: dict[str, object], spec: video_pb2.VideoSpec) -> None:
    durations = {
        "duration_seconds": spec.duration,
        "start_within_seconds": spec.start_within,
        "extend_seconds": spec.extend.duration,
    }
    for name, duration in durations.items():
        if (seconds := fields.pop(name, None)) is not None:
            with _naming(name):
                duration.FromTimedelta(timedelta(seconds=float(str(seconds))))


def _take_sources(fields: dict[str, object], spec: video_pb2.VideoSpec) -> None:
    if (source := fields.pop("edit_source", None)) is not None:
        spec.edit.source = resource_name("videos", str(source))
    if (strength := fields.pop("edit_strength", None)) is not None:
        with _naming("edit_strength"):
            spec.edit.strength = float(str(strength))
    if (source := fields.pop("extend_source", None)) is not None:
        spec.extend.source = resource_name("videos", str(source))


def list_videos_request(
    video_filter: VideoFilter, page_size: int
) -> video_service_pb2.ListVideosRequest:
    """Ask for the first page of the videos that pass the filter."""
    request = video_service_pb2.ListVideosRequest(
        page_size=page_size,
        states=video_filter.states,
        model=resource_name("models", video_filter.model) if video_filter.model else "",
        labels=video_filter.labels,
    )
    if video_filter.create_time_from is not None:
        request.create_time_from.FromDatetime(video_filter.create_time_from)
    if video_filter.create_time_until is not None:
        request.create_time_until.FromDatetime(video_filter.create_time_until)
    return request


def download_video_request(
    name: str, artifact_id: str, *, follow: bool
) -> video_service_pb2.DownloadVideoRequest:
    """Ask for a file from its beginning."""
    return video_service_pb2.DownloadVideoRequest(
        name=resource_name("videos", name), artifact_id=artifact_id, follow=follow
    )


def upload_requests(
    path: Path, content_type: str | None
) -> Iterator[video_service_pb2.UploadMediaRequest]:
    """Send a file in chunks, what it is first.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: the type is not given and the file's name does not tell it.
    """
    content_type = (
        content_type or _MEDIA_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    )
    if content_type is None:
        msg = f"the name {path.name} does not tell the file's type; give content_type"
        raise ValueError(msg)
    with path.open("rb") as file:
        size_bytes = file.seek(0, SEEK_END)
    header = video_service_pb2.MediaHeader(content_type=content_type, size_bytes=size_bytes)
    # What is wrong is raised by now: gRPC swallows an error of the iterator that it sends.
    return _upload_messages(path, header)


def _upload_messages(
    path: Path, header: video_service_pb2.MediaHeader
) -> Iterator[video_service_pb2.UploadMediaRequest]:
    yield video_service_pb2.UploadMediaRequest(header=header)
    with path.open("rb") as file:
        while data := file.read(UPLOAD_CHUNK_BYTES):
            yield video_service_pb2.UploadMediaRequest(data=data)


def resource_name(collection: str, name_or_id: str) -> str:
    """Complete a bare id to a name: `toybox` of `models` is `models/toybox`."""
    return name_or_id if "/" in name_or_id or not name_or_id else f"{collection}/{name_or_id}"
