"""What a safetensors file says that it holds, read and checked without its numbers.

The layout: 8 bytes with the header's length, the header as JSON with each tensor's type, shape
and place, then the numbers (https://github.com/huggingface/safetensors).
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LENGTH = struct.Struct("<Q")
# The library's own limit: a longer one is not a header.
_MAX_HEADER_BYTES = 100_000_000
_METADATA = "__metadata__"
_ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


@dataclass(frozen=True)
class TensorHeader:
    """A tensor in a file; `dtype` as safetensors spells it, such as `BF16`."""

    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_values(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        """What they take in the file."""
        return self.num_values * _ITEM_BYTES[self.dtype]


def read_header(path: Path) -> dict[str, TensorHeader]:
    """Return a file's tensors by name.

    Raises:
        ValueError: it is not a whole safetensors file; the message names the file, and the first
            tensor that is not right.
    """
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(_LENGTH.size)
            header_bytes = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
            is_header = 0 < header_bytes <= min(_MAX_HEADER_BYTES, size_bytes - len(start))
            entries = json.loads(file.read(header_bytes)) if is_header else None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{path}: not a safetensors file, or cut off in its header")
    entries.pop(_METADATA, None)
    return _checked(path, entries, data_bytes=size_bytes - _LENGTH.size - header_bytes)


def _checked(path: Path, entries: Mapping[str, Any], *, data_bytes: int) -> dict[str, TensorHeader]:
    tensors, places = {}, []
    for name, entry in entries.items():
        try:
            tensor = TensorHeader(path, entry["dtype"], tuple(map(int, entry["shape"])))
            begin, end = map(int, entry["data_offsets"])
            is_right = begin >= 0 and end - begin == tensor.num_bytes
        except (KeyError, TypeError, ValueError):
            is_right = False
        if not is_right:
            raise ValueError(f"{path}: tensor {name}: its type, shape and place do not agree")
        tensors[name] = tensor
        places.append((begin, end, name))
    expected_begin = 0
    for begin, end, name in sorted(places):
        if end > data_bytes:
            raise ValueError(
                f"{path}: cut off: tensor {name} ends at byte {end} of {data_bytes} that are there"
            )
        if begin != expected_begin:
            raise ValueError(f"{path}: tensor {name} is not where the one before it ends")
        expected_begin = end
    if expected_begin != data_bytes:
        raise ValueError(f"{path}: {data_bytes - expected_begin} bytes belong to no tensor")
    return tensors
