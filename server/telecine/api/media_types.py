"""The media that may be uploaded, and how their files begin."""

from collections.abc import Callable
from typing import NamedTuple

HEAD_BYTES = 16  # as much of a file as the checks look at

_MAX_IMAGE_BYTES = 16 * 1024 * 1024
_MAX_TRACK_BYTES = 32 * 1024 * 1024


class MediaType(NamedTuple):
    """What is taken of one media type: how much, and files that begin like this."""

    max_bytes: int
    matches: Callable[[bytes], bool]


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


def _is_riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == form


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame's sync bits with a layer set, or the ID3 tag before the first frame."""
    has_sync = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return head.startswith(b"ID3") or (has_sync and head[1] & 0x06 != 0)


def _is_adts(head: bytes) -> bool:
    """ADTS has the same sync bits as MPEG audio, with the layer zero."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


MEDIA_TYPES = {
    "image/jpeg": MediaType(_MAX_IMAGE_BYTES, _starts_with(b"\xff\xd8\xff")),
    "image/png": MediaType(_MAX_IMAGE_BYTES, _starts_with(b"\x89PNG\r\n\x1a\n")),
    "image/webp": MediaType(_MAX_IMAGE_BYTES, _is_riff(b"WEBP")),
    "audio/wav": MediaType(_MAX_TRACK_BYTES, _is_riff(b"WAVE")),
    "audio/mpeg": MediaType(_MAX_TRACK_BYTES, _is_mpeg_audio),
    "audio/aac": MediaType(_MAX_TRACK_BYTES, _is_adts),
    "audio/ogg": MediaType(_MAX_TRACK_BYTES, _starts_with(b"OggS")),
}
