"""The media that may be uploaded, and how their files begin."""

from collections.abc import Callable
from typing import Literal, NamedTuple

MediaKind = Literal["image", "video", "audio"]

HEAD_BYTES = 16  # as much of a file as the checks look at

MAX_IMAGE_BYTES = 16 * 1024 * 1024
_MAX_TRACK_BYTES = 32 * 1024 * 1024
_MAX_VIDEO_BYTES = 256 * 1024 * 1024
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_M4A_BRANDS = frozenset({b"M4A ", b"M4B "})
# What an image of either kind may call itself; the decoder finds out which it is.
_IMAGE_BRANDS = frozenset({b"mif1", b"msf1"})


class MediaType(NamedTuple):
    """What is taken of one media type: how much, and files that begin like this."""

    max_bytes: int
    matches: Callable[[bytes], bool]


def _starts_with(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


def _is_riff(form: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == form


def _brand(head: bytes) -> bytes:
    """The brand that a file of boxes (ISO 14496-12) calls itself first; empty for other files."""
    return head[8:12] if head[4:8] == b"ftyp" else b""


def _has_brand(*brands: frozenset[bytes]) -> Callable[[bytes], bool]:
    return lambda head: any(_brand(head) in some for some in brands)


def _is_mp4(head: bytes) -> bool:
    brand = _brand(head)
    others = _AVIF_BRANDS | _HEIC_BRANDS | _IMAGE_BRANDS | _M4A_BRANDS
    return brand != b"" and brand not in others


def _is_mpeg_audio(head: bytes) -> bool:
    """A frame's sync bits with a layer set, or the ID3 tag before the first frame."""
    has_sync = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return head.startswith(b"ID3") or (has_sync and head[1] & 0x06 != 0)


def _is_adts(head: bytes) -> bool:
    """ADTS has the same sync bits as MPEG audio, with the layer zero."""
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0


MEDIA_TYPES = {
    "image/jpeg": MediaType(MAX_IMAGE_BYTES, _starts_with(b"\xff\xd8\xff")),
    "image/png": MediaType(MAX_IMAGE_BYTES, _starts_with(b"\x89PNG\r\n\x1a\n")),
    "image/webp": MediaType(MAX_IMAGE_BYTES, _is_riff(b"WEBP")),
    "image/avif": MediaType(MAX_IMAGE_BYTES, _has_brand(_AVIF_BRANDS, _IMAGE_BRANDS)),
    "image/heic": MediaType(MAX_IMAGE_BYTES, _has_brand(_HEIC_BRANDS, _IMAGE_BRANDS)),
    "video/mp4": MediaType(_MAX_VIDEO_BYTES, _is_mp4),
    "video/webm": MediaType(_MAX_VIDEO_BYTES, _starts_with(b"\x1a\x45\xdf\xa3")),
    "audio/wav": MediaType(_MAX_TRACK_BYTES, _is_riff(b"WAVE")),
    "audio/mpeg": MediaType(_MAX_TRACK_BYTES, _is_mpeg_audio),
    "audio/aac": MediaType(_MAX_TRACK_BYTES, _is_adts),
    "audio/mp4": MediaType(_MAX_TRACK_BYTES, _has_brand(_M4A_BRANDS)),
    "audio/flac": MediaType(_MAX_TRACK_BYTES, _starts_with(b"fLaC")),
    "audio/ogg": MediaType(_MAX_TRACK_BYTES, _starts_with(b"OggS")),
}


def type_of(head: bytes) -> str:
    """Returns the media type of a file that begins like that; else nothing."""
    for content_type, media_type in MEDIA_TYPES.items():
        if media_type.matches(head):
            return content_type
    return ""


def kind_of(head: bytes) -> str:
    """Returns `image`, `video` or `audio` for a file that begins like that; else nothing."""
    return type_of(head).partition("/")[0]
