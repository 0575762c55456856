"""Pages of videos."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from submissions import claim_next, make_submission

from telecine.errors import InvalidFieldError
from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import QueueLimits, VideoQuery
from telecine.v1 import video_pb2

ALL = VideoQuery(tenant="alice")


async def submit_many(store: JobStore, count: int) -> list[str]:
    """Submits videos and returns their names, newest first."""
    names = [(await store.submit(make_submission())).name for _ in range(count)]
    return names[::-1]


async def list_names(store: JobStore, query: VideoQuery) -> list[str]:
    """Returns the names on all pages of a query."""
    names: list[str] = []
    token = query.page_token
    while True:
        page = await store.list_videos(VideoQuery(**(vars(query) | {"page_token": token})))
        names += [video.name for video in page.videos]
        token = page.next_page_token
        if not token:
            return names


async def test_newest_come_first_and_only_the_tenants_own(store: JobStore) -> None:
    names = await submit_many(store, 3)
    await store.submit(make_submission("bob"))
    page = await store.list_videos(ALL)
    assert [video.name for video in page.videos] == names
    assert page.next_page_token == ""
    assert [video.queue_position for video in page.videos] == [3, 2, 0]


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_hold_every_video_once(store: JobStore, page_size: int) -> None:
    names = await submit_many(store, 7)
    assert await list_names(store, VideoQuery("alice", page_size=page_size)) == names


async def test_last_full_page_has_no_token(store: JobStore) -> None:
    await submit_many(store, 4)
    page = await store.list_videos(VideoQuery("alice", page_size=4))
    assert len(page.videos) == 4
    assert page.next_page_token == ""


async def test_pages_stay_stable_while_videos_come_and_go(store: JobStore) -> None:
    names = await submit_many(store, 6)
    first = await store.list_videos(VideoQuery("alice", page_size=2))
    await submit_many(store, 3)
    for name in (names[1], names[3]):
        await store.cancel(name)
        await store.delete(name)
    rest = VideoQuery("alice", page_size=2, page_token=first.next_page_token)
    assert await list_names(store, rest) == [names[2], names[4], names[5]]


async def test_filters_by_state_model_labels_and_time(store: JobStore) -> None:
    plain = await store.submit(make_submission())
    labelled = await store.submit(make_submission(labels={"team": "film", "take": "2"}))
    other = await store.submit(make_submission(model="models/other"))
    running = (await claim_next(store)).video
    assert running.name == plain.name

    async def found(**filters: object) -> set[str]:
        return set(await list_names(store, VideoQuery("alice", **filters)))

    queued, is_running = video_pb2.Video.STATE_QUEUED, video_pb2.Video.STATE_RUNNING
    assert await found(states=(is_running,)) == {plain.name}
    assert await found(states=(queued,)) == {labelled.name, other.name}
    assert await found(model="models/other") == {other.name}
    assert await found(labels=(("team", "film"),)) == {labelled.name}
    assert await found(labels=(("team", "film"), ("take", "3"))) == set()
    second = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=labelled.create_time.ToMicroseconds()
    )
    assert await found(create_time_from=second) == {labelled.name, other.name}
    assert await found(create_time_until=second) == {plain.name}
    microsecond = timedelta(microseconds=1)
    assert await found(create_time_from=second, create_time_until=second + microsecond) == {
        labelled.name
    }


async def test_rare_video_is_found_though_one_call_reads_a_bounded_part(client: Redis) -> None:
    store = JobStore(client, limits=QueueLimits(max_queued_per_tenant=3000))
    rare = await store.submit(make_submission(labels={"rare": "yes"}))
    await submit_many(store, 2100)
    query = VideoQuery("alice", labels=(("rare", "yes"),))
    page = await store.list_videos(query)
    assert page.videos == ()
    assert page.next_page_token
    assert await list_names(store, query) == [rare.name]


@pytest.mark.parametrize(
    "token", ["x", "AAAA", "not base64!", "é", "A" * 22, "A" * 10_000, "====", "\x00", "AA AA"]
)
async def test_malformed_page_token_names_its_field(store: JobStore, token: str) -> None:
    with pytest.raises(InvalidFieldError) as error:
        await store.list_videos(VideoQuery("alice", page_token=token))
    assert error.value.field == "page_token"


async def test_page_token_of_another_query_is_refused(store: JobStore) -> None:
    await submit_many(store, 3)
    token = (await store.list_videos(VideoQuery("alice", page_size=1))).next_page_token
    for other in (
        VideoQuery("bob", page_token=token),
        VideoQuery("alice", model="models/other", page_token=token),
        VideoQuery("alice", labels=(("a", "b"),), page_token=token),
    ):
        with pytest.raises(InvalidFieldError):
            await store.list_videos(other)
    larger_page = VideoQuery("alice", page_size=2, page_token=token)
    assert len((await store.list_videos(larger_page)).videos) == 2
