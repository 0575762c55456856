"""How many samples an MP4 says it has, read from its boxes (ISO/IEC 14496-12)."""

import re
import struct
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

# Behind the names of these boxes stands, after some bytes, how many samples they tell of. These
# bytes are only looked at: the next name may stand among them.
_COUNTS = re.compile(
    rb"(?:stsz|stz2)(?=.{8}(?P<stored>.{4}))|trun(?=.{4}(?P<run>.{4}))|cmov", re.DOTALL
)
_COUNT_BYTES = 12
_UNKNOWN = 1 << 32
_HEAD_BYTES = 8


def num_told_samples(path: Path) -> int:
    """Returns the number of samples that all tracks and fragments tell together.

    A sample is a picture or a packet of sound here. However many there are, they may be told in
    a few bytes, for each of which a reader that trusts them fills a table. Whatever is not media
    is searched, not understood: no box can be hidden from that in others. An index that is
    compressed counts as endless.
    """
    if not path.stat().st_size:
        return 0
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return sum(
            _count(match)
            for start, end in _without_media(data)
            # A reader may take the count of a box that is cut off from what comes behind it.
            for match in _COUNTS.finditer(data, start, end + _COUNT_BYTES)
        )


def _count(match: re.Match[bytes]) -> int:
    told = match["stored"] or match["run"]
    return int.from_bytes(told, "big") if told else _UNKNOWN


def _without_media(data: mmap) -> Iterator[tuple[int, int]]:
    """Yields the parts of a file that are outside its `mdat` boxes."""
    place, start = 0, 0
    while place + _HEAD_BYTES <= len(data):
        size, kind = struct.unpack(">I4s", data[place : place + _HEAD_BYTES])
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size == 0:
            size = len(data) - place
        if size < _HEAD_BYTES:
            break
        if kind == b"mdat":
            yield start, place
            start = place + size
        place += size
    if start < len(data):
        yield start, len(data)
