"""The client of a real Redis."""

import asyncio
import socket
import struct

import pytest

from telecine.jobs.redis_client import KeptConnections, connect_redis


async def test_a_cancel_is_never_lost_however_far_the_call_is(redis_url: str) -> None:
    client = connect_redis(redis_url)
    await client.ping()
    for num_turns in list(range(12)) * 20:
        call = asyncio.create_task(client.echo("x"))
        for _ in range(num_turns):
            await asyncio.sleep(0)
        if not call.done():
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
    await client.aclose()


async def test_connection_that_was_reset_while_it_was_idle_is_made_anew() -> None:
    served: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        while data := await reader.read(65536):
            writer.write(b"+PONG\r\n" * data.count(b"*"))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        client = connect_redis(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
        connections = KeptConnections(client)
        assert await connections.execute("PING") == b"PONG"
        reset_at_once = struct.pack("ii", 1, 0)
        served[0].get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, reset_at_once
        )
        served[0].transport.abort()
        await asyncio.sleep(0.05)
        assert await connections.execute("PING") == b"PONG"
        assert len(served) == 2
        await client.aclose()


async def test_kept_connection_serves_again_after_a_command_that_was_cancelled(
    redis_url: str,
) -> None:
    client = connect_redis(redis_url)
    connections = KeptConnections(client)
    await connections.execute("DEL", "nothing")
    waiting = asyncio.create_task(connections.execute("BLPOP", "nothing", 30))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await connections.execute("ECHO", "x") == b"x"
    await client.aclose()
