"""The loads that door_watchers.py puts on an HTTP edge, by sockets, which cost next to nothing."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_STEP = re.compile(rb'event: step_finished\n.*?"step_index":(\d+).*?\n\n', re.DOTALL)
_BODY = b'{"prompt": "a small red circle moves left over a blue background"}'


def get_request(path: str) -> bytes:
    """Returns a GET as it is sent."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


CREATE = (
    b"POST /v1/videos HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Connections:
    """Connections to one server that are used again and again."""

    def __init__(self, address: str) -> None:
        self._host, port = address.split(":")
        self._port = int(port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    def caller(self, request: bytes) -> Callable[[], Awaitable[None]]:
        """Returns what sends a request and reads its answer."""

        async def call() -> None:
            if self._idle:
                reader, writer = self._idle.pop()
            else:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if length is None or not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")):
                raise RuntimeError(f"an answer that is none: {head!r}")
            await reader.readexactly(int(length[1]))
            self._idle.append((reader, writer))

        return call

    def close(self) -> None:
        """Ends the connections."""
        for _, writer in self._idle:
            writer.close()


class SseWatcher(asyncio.Protocol):
    """Reads one stream of server-sent events and notes when each step came."""

    def __init__(self, path: str, arrivals: list[tuple[int, float]]) -> None:
        self._request = get_request(path)
        self._arrivals = arrivals
        self._tail = b""
        self.has_begun = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Asks for the events."""
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Notes the steps; the first event shows that the watch has begun."""
        now = time.perf_counter()
        self._tail += data
        if not self.has_begun.done() and b"\nevent: " in self._tail:
            self.has_begun.set_result(None)
        end = 0
        for match in _STEP.finditer(self._tail):
            self._arrivals.append((int(match[1]), now))
            end = match.end()
        self._tail = self._tail[end:]
