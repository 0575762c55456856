"""Uploads are counted, used, and go when their time is over."""

import asyncio

import pytest
from redis.asyncio import Redis

from telecine.errors import NotFoundError, QuotaExceededError
from telecine.jobs.account_store import AccountStore
from telecine.jobs.media_store import MediaStore
from telecine.v1 import video_pb2

DAY = 86_400.0


@pytest.fixture
def accounts(client: Redis) -> AccountStore:
    return AccountStore(client)


async def add(media: MediaStore, name: str, size_bytes: int = 10, limit: int | None = None) -> None:
    upload = video_pb2.Media(name=name, content_type="image/png", size_bytes=size_bytes)
    await media.add(upload, tenant="alice", max_stored_bytes=limit)


async def claimed(media: MediaStore) -> list[str]:
    return await media.claim_expired(max_media=10, hold_seconds=60)


async def test_upload_counts_from_the_first_to_the_last(
    client: Redis, accounts: AccountStore
) -> None:
    media = MediaStore(client, kept_seconds=DAY)
    await add(media, "media/a", 10)
    await add(media, "media/b", 5)
    assert (await accounts.usage("alice")).stored_bytes == 15
    for _ in range(2):  # once counts as often
        await media.remove("media/a")
        assert (await accounts.usage("alice")).stored_bytes == 5
    assert await claimed(media) == []


async def test_no_more_is_stored_than_may_be(client: Redis, accounts: AccountStore) -> None:
    media = MediaStore(client, kept_seconds=DAY)
    await add(media, "media/a", 10, limit=15)
    with pytest.raises(QuotaExceededError) as raised:
        await add(media, "media/b", 6, limit=15)
    assert (raised.value.limit, raised.value.used) == (15, 10)
    await add(media, "media/c", 5, limit=15)
    assert (await accounts.usage("alice")).stored_bytes == 15


async def test_one_whose_time_is_over_is_handed_out_once_and_used_no_more(client: Redis) -> None:
    media = MediaStore(client, kept_seconds=0.01)
    await add(media, "media/a")
    assert await media.use("media/a")
    await asyncio.sleep(0.1)
    assert await claimed(media) == ["media/a"]
    assert await claimed(media) == []
    assert not await media.use("media/a")


async def test_use_puts_the_end_off(client: Redis) -> None:
    await add(MediaStore(client, kept_seconds=0.01), "media/a")
    await asyncio.sleep(0.1)
    media = MediaStore(client, kept_seconds=DAY)
    assert await media.use("media/a")
    assert await claimed(media) == []


async def test_upload_that_a_removal_did_not_finish_is_handed_out_again(client: Redis) -> None:
    media = MediaStore(client, kept_seconds=0.01)
    await add(media, "media/a")
    await asyncio.sleep(0.1)
    assert await media.claim_expired(max_media=10, hold_seconds=0) == ["media/a"]
    assert await claimed(media) == ["media/a"]


async def test_one_from_before_uploads_were_counted_is_used_and_removed(
    client: Redis, accounts: AccountStore
) -> None:
    media = MediaStore(client, kept_seconds=DAY)
    assert await media.use("media/old")
    await media.remove("media/old")
    assert (await accounts.usage("alice")).stored_bytes == 0


async def test_upload_is_known_once_its_bytes_are_stored_and_while_it_can_be_used(
    client: Redis,
) -> None:
    media = MediaStore(client, kept_seconds=0.5)
    upload = video_pb2.Media(name="media/a", content_type="image/png", size_bytes=10)
    await media.add(upload, tenant="alice", max_stored_bytes=None)
    with pytest.raises(NotFoundError):
        await media.get("media/a")
    upload.digest = "sha256:0"
    await media.finish(upload)
    assert await media.get("media/a") == upload
    assert (await media.list_media("alice", page_size=5, place="")).media == [upload]
    assert (await media.list_media("bob", page_size=5, place="")).media == []
    await asyncio.sleep(0.6)
    assert await claimed(media) == ["media/a"]
    with pytest.raises(NotFoundError):
        await media.get("media/a")
    assert (await media.list_media("alice", page_size=5, place="")).media == []


async def test_place_of_an_upload_outlives_it_for_its_own_tenant(client: Redis) -> None:
    media = MediaStore(client, kept_seconds=DAY)
    upload = video_pb2.Media(name="media/a", content_type="image/png", size_bytes=10)
    await media.add(upload, tenant="alice", max_stored_bytes=None)
    await media.finish(upload)
    place = await media.find_place("media/a", tenant="alice")
    await media.keep_place(upload, tenant="alice")
    await media.remove("media/a")
    assert await media.find_place("media/a", tenant="alice") == place
    with pytest.raises(NotFoundError):
        await media.find_place("media/a", tenant="bob")
