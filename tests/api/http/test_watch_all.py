"""The changes of all of a caller's videos as one stream of server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import redis
from httpx2 import AsyncClient

URL = "/v1/videos/events"
NOTIFY = "telecine:{0}:notify"


class Entry(NamedTuple):
    """One entry, with the place that an EventSource has noted by then."""

    place: str
    kind: str
    data: dict[str, Any]


class Watch:
    """Reads entries as an EventSource does: an `id` counts also where no data comes with it."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.place = ""

    async def next(self) -> Entry:
        """The next entry that has data."""
        kind, data = "", ""
        async with asyncio.timeout(20):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.place = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line and data:
                    return Entry(self.place, kind, json.loads(data))
        raise AssertionError("the stream ended")

    async def until(self, video_id: str, state: str) -> Entry:
        """The entry that shows a video in a state; those before it are passed over."""
        while True:
            entry = await self.next()
            if entry.data.get("id") == video_id and entry.data.get("state") == state:
                return entry

    async def noted(self) -> str:
        """The place, once there is one."""
        async with asyncio.timeout(20):
            while not self.place:
                line = await anext(self._lines)
                if line.startswith("id: "):
                    self.place = line.removeprefix("id: ")
        return self.place


@asynccontextmanager
async def watching(http: AsyncClient, **headers: str) -> AsyncIterator[Watch]:
    async with http.stream("GET", URL, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Watch(answer.aiter_lines())


async def test_videos_come_as_the_routes_show_them_then_every_change(
    gateway: Any, http: AsyncClient
) -> None:
    waiting = (await http.post("/v1/videos", json={"prompt": "x"})).json()
    async with watching(http) as watch:
        first = await watch.next()
        assert (first.kind, first.data["id"]) == ("video", waiting["id"])
        assert first.data.keys() == waiting.keys()
        new = (await http.post("/v1/videos", json={"prompt": "y"})).json()
        assert (await watch.until(new["id"], "QUEUED")).kind == "video"
        await gateway.finish(await gateway.claim(), b"mp4")
        ended = await watch.until(waiting["id"], "SUCCEEDED")
        assert ended.data["video_url"].endswith(f"/v1/videos/{waiting['id']}/content")
        await http.delete(f"/v1/videos/{waiting['id']}")
        gone = await watch.next()
        assert (gone.kind, gone.data["id"]) == ("deleted", waiting["id"])


async def test_what_ended_or_went_in_between_comes_after_the_place(
    gateway: Any, http: AsyncClient
) -> None:
    ids = [(await http.post("/v1/videos", json={"prompt": "x"})).json()["id"] for _ in range(3)]
    async with watching(http) as watch:
        await watch.until(ids[2], "QUEUED")
        place = await watch.noted()
    await gateway.finish(await gateway.claim(), b"mp4")
    await http.post(f"/v1/videos/{ids[1]}/cancel")
    await http.delete(f"/v1/videos/{ids[1]}")
    async with watching(http, **{"last-event-id": place}) as watch:
        seen = [await watch.next() for _ in range(3)]
    shown = {entry.data["id"]: entry.data.get("state", entry.kind) for entry in seen}
    assert shown == {ids[0]: "SUCCEEDED", ids[1]: "deleted", ids[2]: "QUEUED"}
    async with http.stream("GET", f"{URL}?after={seen[-1].place}") as answer:
        first = await Watch(answer.aiter_lines()).next()
    assert first.data["id"] == ids[2]


async def test_empty_watch_has_a_place_too(gateway: Any, http: AsyncClient) -> None:
    async with watching(http) as watch:
        place = await watch.noted()
    video = await gateway.create()
    await gateway.finish(await gateway.claim(), b"mp4")
    async with watching(http, **{"last-event-id": place}) as watch:
        assert (await watch.next()).data["id"] == video.name.removeprefix("videos/")


async def test_place_that_is_no_longer_known_is_told(
    gateway: Any, http: AsyncClient, redis_url: str
) -> None:
    async with watching(http) as watch:
        place = await watch.noted()
    video = await gateway.create()
    await gateway.finish(await gateway.claim(), b"mp4")
    with redis.Redis.from_url(redis_url) as client:
        client.xtrim(NOTIFY, maxlen=0, approximate=False)
    waiting = await gateway.create()
    async with watching(http, **{"last-event-id": place}) as watch:
        assert (await watch.next()).kind == "gap"
        assert (await watch.next()).data["id"] == waiting.name.removeprefix("videos/")
    assert video.name != waiting.name


@pytest.mark.parametrize("place", ["x", "1", "-1-1"])
async def test_what_is_no_place_is_refused(http: AsyncClient, place: str) -> None:
    answer = await http.get(URL, headers={"last-event-id": place})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "after")
