"""A video's events as server-sent events: all, once, in order, resumable."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from httpx2 import AsyncClient, Response

from telecine.v1 import video_service_pb2


class Entry(NamedTuple):
    """One event as an EventSource reads it."""

    event_id: str
    kind: str
    data: dict[str, Any]


async def entries_of(answer: Response) -> AsyncIterator[Entry]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Entry(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}


async def read_all(http: AsyncClient, url: str, **headers: str) -> list[Entry]:
    async with http.stream("GET", url, headers=headers) as answer:
        return [entry async for entry in entries_of(answer)]


async def make_finished(gateway: Any) -> str:
    video = await gateway.create()
    lease = await gateway.claim()
    await gateway.step(lease, 1, preview=b"picture")
    await gateway.step(lease, 2)
    await gateway.finish(lease, b"mp4")
    name: str = video.name
    return name


async def test_events_are_those_of_the_log_in_order(gateway: Any, http: AsyncClient) -> None:
    name = await make_finished(gateway)
    seen = await read_all(http, f"/v1/{name}/events")
    request = video_service_pb2.WatchVideoRequest(name=name)
    logged = [event async for event in gateway.videos.WatchVideo(request)]
    assert [entry.event_id for entry in seen] == [event.event_id for event in logged]
    assert [entry.kind for entry in seen] == [event.WhichOneof("event") for event in logged]
    assert all(entry.data["type"] == entry.kind for entry in seen)
    assert seen[0].data["state"] == "QUEUED"
    step = next(entry.data for entry in seen if entry.kind == "step_finished")
    assert (step["step_index"], step["num_inference_steps"], step["eta_seconds"]) == (1, 4, 3.0)
    picture = next(entry.data for entry in seen if entry.kind == "preview")
    assert base64.b64decode(picture["image_url"].partition(",")[2]) == b"picture"
    assert seen[-1].data["state"] == "SUCCEEDED"


async def test_previews_are_left_out_where_asked(gateway: Any, http: AsyncClient) -> None:
    name = await make_finished(gateway)
    kinds = [entry.kind for entry in await read_all(http, f"/v1/{name}/events?preview=false")]
    assert "preview" not in kinds
    assert "step_finished" in kinds


async def test_a_watch_is_resumed_after_any_event(gateway: Any, http: AsyncClient) -> None:
    url = f"/v1/{await make_finished(gateway)}/events"
    seen = await read_all(http, url)
    for place, entry in enumerate(seen[:-1]):
        assert await read_all(http, url, **{"last-event-id": entry.event_id}) == seen[place + 1 :]
    after = await read_all(http, f"{url}?after={seen[0].event_id}")
    assert after == seen[1:]


async def test_client_that_has_seen_the_end_is_told_not_to_come_again(
    gateway: Any, http: AsyncClient
) -> None:
    url = f"/v1/{await make_finished(gateway)}/events"
    last = (await read_all(http, url))[-1].event_id
    answer = await http.get(url, headers={"last-event-id": last})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_events_come_while_the_video_is_made(gateway: Any, http: AsyncClient) -> None:
    video = await gateway.create()
    async with asyncio.timeout(20), http.stream("GET", f"/v1/{video.name}/events") as answer:
        entries = entries_of(answer)
        assert (await anext(entries)).data["state"] == "QUEUED"
        lease = await gateway.claim()
        assert (await anext(entries)).data["state"] == "RUNNING"
        await gateway.step(lease, 1)
        assert (await anext(entries)).data["step_index"] == 1
        await gateway.finish(lease, b"mp4")
        assert [entry.kind async for entry in entries][-1] == "state_changed"


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [("nope/events", 404, "video_id"), ("ID/events?after=x", 400, "after")],
)
async def test_bad_watch_is_refused_with_a_status(
    gateway: Any, http: AsyncClient, path: str, status: int, param: str
) -> None:
    video = await gateway.create()
    path = path.replace("ID", video.name.removeprefix("videos/"))
    answer = await http.get(f"/v1/videos/{path}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
