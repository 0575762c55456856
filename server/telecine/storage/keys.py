"""Names of objects: where each file of a video, and each upload, is stored."""

import re

from telecine.v1 import video_pb2

_MAX_KEY_LENGTH = 512
_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def checked_key(key: str) -> str:
    """Returns `key` if it names an object: segments of letters, digits, `.`, `_`, `-`.

    Raises:
        ValueError: it does not, or could lead out of the store.
    """
    if len(key) > _MAX_KEY_LENGTH or not all(map(_SEGMENT.fullmatch, key.split("/"))):
        raise ValueError(f"{key!r} is not the key of an object")
    return key


def video_prefix(video_name: str) -> str:
    """Returns what the keys of all files of a video begin with."""
    return checked_key(video_name)


def attempt_key(video_name: str, *, attempt: int, artifact_id: str) -> str:
    """Returns where an attempt stores a file.

    Object stores cannot check fencing tokens, so no two attempts write to one key: only the
    attempt that the job store lets complete the video is ever read.
    """
    return checked_key(f"{video_name}/{attempt}/{artifact_id}")


def artifact_key(video: video_pb2.Video, artifact_id: str) -> str:
    """Returns where a file of a video that SUCCEEDED is stored."""
    return attempt_key(video.name, attempt=video.attempt, artifact_id=artifact_id)


def pieces_prefix(video_name: str, *, attempt: int) -> str:
    """Returns what the keys of all pieces of an attempt's growing file begin with."""
    return attempt_key(video_name, attempt=attempt, artifact_id="live")


def piece_key(video_name: str, *, attempt: int, offset: int) -> str:
    """Returns where an attempt stores the piece of its growing file that begins at `offset`."""
    return checked_key(f"{pieces_prefix(video_name, attempt=attempt)}/{offset:012d}")


def media_key(media_name: str) -> str:
    """Returns where an upload, `media/{media}`, is stored."""
    return checked_key(media_name)
