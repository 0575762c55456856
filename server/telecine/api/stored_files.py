"""The files of a video that are stored whole."""

from collections.abc import AsyncGenerator

from telecine.api.gateway_parts import GatewayParts
from telecine.api.request_validation import shown
from telecine.errors import (
    ContentBlockedError,
    NotFoundError,
    OutOfRangeError,
    VideoEndedError,
    VideoStateError,
)
from telecine.jobs.transitions import ENDED_STATES
from telecine.storage.keys import artifact_key
from telecine.v1 import video_pb2

CHUNK_BYTES = 1024 * 1024
BLOCKED = "CONTENT_BLOCKED"  # the failure's reason where the output is withheld


def find_artifact(
    video: video_pb2.Video,
    artifact_id: str,
    *,
    default: video_pb2.Artifact.Kind.ValueType = video_pb2.Artifact.KIND_VIDEO,
) -> video_pb2.Artifact:
    """Returns the artifact of that id; for an empty one the first of the default kind.

    Raises:
        NotFoundError: the video has no such file.
        VideoStateError: it has no files.
    """
    for artifact in video.artifacts:
        is_default = artifact.kind == default and not artifact_id
        if artifact.artifact_id == artifact_id or is_default:
            return artifact
    if video.failure.reason == BLOCKED:
        raise ended_error(video)
    if not video.artifacts:
        state = state_word(video)
        raise VideoStateError(f"{video.name} is {state} and has no files", state=state)
    unquoted = shown(artifact_id)[1:-1]
    raise NotFoundError(f"{video.name}/artifacts/{unquoted}", field="artifact_id")


def check_offset(artifact: video_pb2.Artifact, offset: int) -> None:
    """Refuses an offset past the end; the end itself is the place of no bytes.

    Raises:
        OutOfRangeError: it is past the end.
    """
    if offset > artifact.size_bytes:
        raise OutOfRangeError("read_offset", f"{offset} is past the end at {artifact.size_bytes}")


def read_artifact(
    parts: GatewayParts,
    video: video_pb2.Video,
    artifact: video_pb2.Artifact,
    *,
    offset: int,
    limit: int = 0,
) -> AsyncGenerator[bytes, None]:
    """Yields a file's bytes from `offset` on, `limit` of them at most, 0 for all."""
    return parts.objects.read(
        artifact_key(video, artifact.artifact_id),
        offset=offset,
        limit=limit or artifact.size_bytes,
        chunk_bytes=CHUNK_BYTES,
    )


def ended_error(video: video_pb2.Video) -> VideoEndedError:
    """Returns what is told of a video that has ended without files."""
    state = state_word(video)
    told = f": {video.failure.message}" if video.failure.message else ""
    kind = ContentBlockedError if video.failure.reason == BLOCKED else VideoEndedError
    return kind(f"{video.name} is {state}{told}", state=state, reason=video.failure.reason or state)


def has_ended(video: video_pb2.Video) -> bool:
    """Whether nothing more will happen to a video."""
    return state_word(video) in ENDED_STATES


def state_word(video: video_pb2.Video) -> str:
    """Returns a video's state without the prefix of its enum: `QUEUED`."""
    return video_pb2.Video.State.Name(video.state).removeprefix("STATE_")
