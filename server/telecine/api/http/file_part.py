"""The file of a form, handed on as it comes: it never lies in memory or is written twice."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from telecine.errors import InvalidFieldError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_HEADER_BYTES = 8192


async def file_chunks(request: Request, *, field: str) -> AsyncIterator[bytes]:
    """Yields the bytes of the one part that a form must have, a file named `field`.

    Raises:
        InvalidFieldError: the form has something else, or is none.
    """
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidFieldError("body", "is a form without a boundary")
    part = _Part(field)
    with _refusing():
        parser = MultipartParser(boundary, part.callbacks())
    async for data in request.stream():
        with _refusing():
            parser.write(data)
        for chunk in part.take():
            yield chunk
    if not part.is_whole:
        raise InvalidFieldError(field, "is missing, or its form does not end")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns what the parser does not take into InvalidFieldError."""
    try:
        yield
    except FormParserError as error:
        raise InvalidFieldError("body", f"is not a form: {error}") from None


class _Part:
    """What the parser has found and nobody has taken yet."""

    def __init__(self, field: str) -> None:
        self.is_whole = False
        self._field = field
        self._num_parts = 0
        self._name = b""
        self._value = b""
        self._num_header_bytes = 0
        self._is_named = False
        self._chunks: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def take(self) -> list[bytes]:
        """Returns the bytes that have come since the last time."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def _begin(self) -> None:
        self._num_parts += 1
        if self._num_parts > 1:
            raise InvalidFieldError("body", f"has more parts than the file {self._field}")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, num_bytes: int) -> None:
        self._num_header_bytes += num_bytes
        if self._num_header_bytes > _MAX_HEADER_BYTES:
            raise InvalidFieldError("body", f"has a part with more than {_MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            name = options.get(b"name", b"")
            self._is_named = name == self._field.encode() and b"filename" in options
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        if not self._is_named:
            raise InvalidFieldError("body", f"has another part than a file named {self._field}")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def _end(self) -> None:
        self.is_whole = True
