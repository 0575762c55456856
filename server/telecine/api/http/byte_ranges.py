"""The part of a file that a Range header asks for (RFC 9110, section 14)."""

import re
from dataclasses import dataclass

from telecine.errors import OutOfRangeError

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


@dataclass(frozen=True)
class ByteRange:
    """Bytes of a file, from `start` on.

    Attributes:
        size_bytes: how many they are.
        total_bytes: how many the file has.
        is_part: whether a part was asked for.
    """

    start: int
    size_bytes: int
    total_bytes: int
    is_part: bool

    @property
    def content_range(self) -> str:
        """What the answer says of the part that it brings."""
        return f"bytes {self.start}-{self.start + self.size_bytes - 1}/{self.total_bytes}"


def parse_range(header: str | None, total_bytes: int) -> ByteRange:
    """Returns what to send; the whole where none, several or an unknown kind is asked for.

    Raises:
        OutOfRangeError: none of the file's bytes lies within it.
    """
    match = _RANGE.fullmatch(header or "")
    first, last = match.groups() if match else ("", "")
    if not first and not last:
        return ByteRange(0, total_bytes, total_bytes, is_part=False)
    if first and last and int(last) < int(first):
        return ByteRange(0, total_bytes, total_bytes, is_part=False)
    start = int(first) if first else max(0, total_bytes - int(last))
    end = min(int(last), total_bytes - 1) if first and last else total_bytes - 1
    if start > end:
        raise OutOfRangeError("Range", f"{header} has none of the {total_bytes} bytes")
    return ByteRange(start, end - start + 1, total_bytes, is_part=True)
