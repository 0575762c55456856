"""A video's events by WebSocket: as by server-sent events, and moved by a message."""

import json
from typing import Any

import pytest
from httpx2 import AsyncClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .test_event_routes import make_finished


def url_of(gateway: Any, path: str) -> str:
    return f"{gateway.http_url.replace('http', 'ws', 1)}/v1/{path}"


async def read_all(socket: ClientConnection) -> list[dict[str, Any]]:
    return [json.loads(message) async for message in socket]


async def test_events_come_in_order_and_the_end_closes(gateway: Any) -> None:
    name = await make_finished(gateway)
    async with connect(url_of(gateway, f"{name}/ws")) as socket:
        seen = await read_all(socket)
        assert socket.close_code == 1000
    assert [event["type"] for event in seen].count("step_finished") == 2
    assert [event["type"] for event in seen].count("preview") == 1
    assert seen[-1]["state"] == "SUCCEEDED"
    async with connect(url_of(gateway, f"{name}/ws?preview=false")) as socket:
        assert await read_all(socket) == [event for event in seen if event["type"] != "preview"]


async def test_a_watch_is_resumed_after_any_event(gateway: Any) -> None:
    url = url_of(gateway, f"{await make_finished(gateway)}/ws")
    async with connect(url) as socket:
        seen = await read_all(socket)
    for place, event in enumerate(seen):
        async with connect(f"{url}?after={event['id']}") as socket:
            assert await read_all(socket) == seen[place + 1 :]


async def test_a_message_moves_the_watch(gateway: Any) -> None:
    video = await gateway.create()
    async with connect(url_of(gateway, f"{video.name}/ws")) as socket:
        queued = json.loads(await socket.recv())
        lease = await gateway.claim()
        await gateway.step(lease, 1)
        running, step = [json.loads(await socket.recv()) for _ in range(2)]
        await socket.send(json.dumps({"after": queued["id"]}))
        assert [json.loads(await socket.recv()) for _ in range(2)] == [running, step]
        await gateway.finish(lease, b"mp4")
        assert (await read_all(socket))[-1]["state"] == "SUCCEEDED"


@pytest.mark.parametrize("message", ["{", "[]", '{"after": 1}', '{"before": "1-1"}'])
async def test_message_of_another_form_is_told_and_closes(gateway: Any, message: str) -> None:
    video = await gateway.create()
    async with connect(url_of(gateway, f"{video.name}/ws")) as socket:
        await socket.recv()
        await socket.send(message)
        told = json.loads(await socket.recv())
        assert (told["type"], told["error"]["param"]) == ("error", "message")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (1008, "INVALID_FIELD")


async def test_message_that_is_too_long_closes(gateway: Any) -> None:
    video = await gateway.create()
    async with connect(url_of(gateway, f"{video.name}/ws")) as socket:
        await socket.recv()
        await socket.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1009


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("videos/nope/ws", 404),
        ("videos/a%0d%0a/ws", 400),
        ("ID/ws?after=x", 400),
        ("ID/ws?preview=maybe", 400),
        ("ID/ws?api_key=x", 400),
    ],
)
async def test_bad_watch_is_refused_before_it_opens(
    gateway: Any, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    video = await gateway.create()
    with pytest.raises(InvalidStatus) as raised:
        async with connect(url_of(gateway, path.replace("ID", video.name))):
            pass
    assert raised.value.response.status_code == status
    assert json.loads(raised.value.response.body)["error"]["message"]
    assert caplog.messages == []  # a client's fault is none of the gateway's


async def test_plain_http_is_told_to_upgrade(http: AsyncClient) -> None:
    answer = await http.get("/v1/videos/ID/ws")
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert "/events" in answer.json()["error"]["message"]


async def test_page_of_another_origin_may_not_watch(gateway: Any) -> None:
    video = await gateway.create()
    with pytest.raises(InvalidStatus) as raised:
        async with connect(
            url_of(gateway, f"{video.name}/ws"), additional_headers={"origin": "http://evil"}
        ):
            pass
    assert raised.value.response.status_code == 403
