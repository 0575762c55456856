"""A TCP proxy that breaks its first connections after so many bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BreakingProxy:
    """Passes bytes on; the first `num_breaks` connections end after `break_bytes` of answers."""

    def __init__(self, port: int, *, num_breaks: int, break_bytes: int) -> None:
        self.num_connections = 0
        self._port = port
        self._num_breaks = num_breaks
        self._break_bytes = break_bytes

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Yield the address to connect to."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        async with server:
            yield "{}:{}".format(*server.sockets[0].getsockname())

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        is_broken = self.num_connections <= self._num_breaks
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        limit = self._break_bytes if is_broken else None
        passing = [
            asyncio.create_task(_pass_on(reader, server_writer, None)),
            asyncio.create_task(_pass_on(server_reader, writer, limit)),
        ]
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        for end in (writer, server_writer):
            end.transport.abort()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None
) -> None:
    num_bytes = 0
    while (limit is None or num_bytes < limit) and (data := await reader.read(65536)):
        num_bytes += len(data)
        writer.write(data)
        await writer.drain()
