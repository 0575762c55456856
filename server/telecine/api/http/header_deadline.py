"""HTTP connections that are closed when their request's headers do not come, or do not end."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
MAX_HEADER_BYTES = 32 * 1024


class HeaderDeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits that it lacks for what precedes a request's body."""

    _deadline: asyncio.TimerHandle | None = None
    _num_header_bytes = 0
    _has_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a first request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what has come, as far as a request's head, and all that is no body, may be long."""
        self._num_header_bytes += len(data)
        super().data_received(data)
        if self._num_header_bytes <= MAX_HEADER_BYTES or self.transport.is_closing():
            return
        if self._has_head:
            self.transport.close()  # the extension of a chunk, or what is behind the body
        else:
            self.send_400_response("The request's headers are too long.")

    def on_message_begin(self) -> None:
        """Begins to wait for the rest of a request's headers."""
        super().on_message_begin()
        self._has_head = False
        if self._deadline is None:
            self._num_header_bytes = 0
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header; one behind the body would be read as one before it, and has no limit."""
        if not self._has_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body, which has limits of its own."""
        self._num_header_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Ends the wait."""
        self._has_head = True
        self._cancel_deadline()
        super().on_headers_complete()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
