"""An upload is stored whole when it is what it says, else not at all."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest

from telecine.api.media_names import new_media_name
from telecine.api.media_types import MEDIA_TYPES
from telecine.storage.keys import media_key
from telecine.v1 import account_service_pb2, video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
Upload = video_service_pb2.UploadMediaRequest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(3_000_000)

HEADS = [
    ("image/png", PNG[:100]),
    ("image/jpeg", b"\xff\xd8\xff\xe0 rest"),
    ("image/webp", b"RIFF\x00\x00\x00\x00WEBPVP8 "),
    ("image/avif", b"\x00\x00\x00\x20ftypavif"),
    ("image/heic", b"\x00\x00\x00\x18ftypheic"),
    ("image/heic", b"\x00\x00\x00\x18ftypmif1"),
    ("video/mp4", b"\x00\x00\x00\x20ftypisom"),
    ("video/webm", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81"),
    ("audio/wav", b"RIFF\x00\x00\x00\x00WAVEfmt "),
    ("audio/mpeg", b"ID3\x04 rest"),
    ("audio/mpeg", b"\xff\xfb\x90\x00"),
    ("audio/aac", b"\xff\xf1\x50\x80"),
    ("audio/ogg", b"OggS\x00\x02"),
    ("audio/mp4", b"\x00\x00\x00\x1cftypM4A \x00\x00"),
    ("audio/flac", b"fLaC\x00\x00\x00\x22"),
]


def header(content_type: str, size_bytes: int) -> Upload:
    return Upload(
        header=video_service_pb2.MediaHeader(content_type=content_type, size_bytes=size_bytes)
    )


async def messages(first: Upload, chunks: Iterable[bytes]) -> AsyncIterator[Upload]:
    yield first
    for chunk in chunks:
        yield Upload(data=chunk)


def chunked(content: bytes, size: int = 1024 * 1024) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def stored_files(gateway: Any) -> list[bytes]:
    media = gateway.objects_folder / "media"
    return [path.read_bytes() for path in media.glob("[!.]*")] if media.exists() else []


async def test_upload_is_stored_as_it_was_sent(gateway: Any) -> None:
    call = gateway.videos.UploadMedia(messages(header("image/png", len(PNG)), chunked(PNG)))
    media = await call
    assert media.name.startswith("media/")
    assert media.content_type == "image/png"
    assert media.size_bytes == len(PNG)
    assert media.digest == f"sha256:{hashlib.sha256(PNG).hexdigest()}"
    assert media.HasField("create_time")
    assert stored_files(gateway) == [PNG]


@pytest.mark.parametrize(("content_type", "content"), HEADS)
async def test_every_type_is_taken_when_the_file_begins_as_it_should(
    gateway: Any, refused: Refused, content_type: str, content: bytes
) -> None:
    first = header(content_type, len(content))
    assert (await gateway.videos.UploadMedia(messages(first, [content]))).name
    wrong = b"<".ljust(len(content), b">")
    refusal = await refused(gateway.videos.UploadMedia(messages(first, [wrong])))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "data")


def test_mpeg_and_aac_are_told_apart() -> None:
    assert not MEDIA_TYPES["audio/mpeg"].matches(b"\xff\xf1\x50\x80")
    assert not MEDIA_TYPES["audio/aac"].matches(b"\xff\xfb\x90\x00")


BAD_UPLOADS = [
    ("header", Upload(data=b"x"), []),
    ("header.content_type", header("text/html", 10), [b"x" * 10]),
    ("header.content_type", header("", 10), [b"x" * 10]),
    ("header.size_bytes", header("image/png", 0), []),
    ("header.size_bytes", header("image/png", -1), []),
    ("header.size_bytes", header("image/png", 16 * 1024 * 1024 + 1), []),
    ("header.size_bytes", header("audio/wav", 2**62), []),
    ("header.size_bytes", header("image/png", 100), [PNG[:99]]),
    ("header.size_bytes", header("image/png", 100), [PNG[:101]]),
    ("header.size_bytes", header("image/png", 100), []),
    ("data", header("image/png", 2 * 1024 * 1024), [PNG[: 1024 * 1024 + 1]]),
]


@pytest.mark.parametrize(("field", "first", "chunks"), BAD_UPLOADS)
async def test_bad_upload_is_refused_and_leaves_nothing(
    gateway: Any, refused: Refused, field: str, first: Upload, chunks: list[bytes]
) -> None:
    refusal = await refused(gateway.videos.UploadMedia(messages(first, chunks)))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert stored_files(gateway) == []


async def test_second_header_is_refused(gateway: Any, refused: Refused) -> None:
    first = header("image/png", 100)
    refusal = await refused(gateway.videos.UploadMedia(iter([first, first])))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "data")


async def test_no_message_at_all_is_refused(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.videos.UploadMedia(iter([])))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "header")


async def test_endless_upload_is_refused_at_the_byte_too_many(
    gateway: Any, refused: Refused
) -> None:
    async def endless() -> AsyncIterator[Upload]:
        yield header("image/png", 100)
        while True:
            yield Upload(data=PNG[:60])

    refusal = await refused(gateway.videos.UploadMedia(endless()))
    assert refusal.field == "header.size_bytes"


async def test_upload_that_goes_idle_is_dropped_and_leaves_nothing(
    gateway: Any, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    call = gateway.videos.UploadMedia()
    await call.write(header("image/png", len(PNG)))
    await call.write(Upload(data=PNG[:1000]))
    refusal = await refused(call)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_IDLE")
    assert stored_files(gateway) == []
    assert list(tmp_path.glob("telecine-upload-*")) == []


async def test_upload_that_trickles_is_dropped(gateway: Any, refused: Refused) -> None:
    async def trickle() -> AsyncIterator[Upload]:
        yield header("image/png", len(PNG))
        while True:
            yield Upload(data=b"x")
            # Less than may go idle, and no message is on its way when the refusal comes after a
            # second: gRPC's client would say INTERNAL then.
            await asyncio.sleep(0.6)

    refusal = await refused(gateway.videos.UploadMedia(trickle()))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "UPLOAD_IDLE")


async def test_upload_that_breaks_off_leaves_nothing(gateway: Any) -> None:
    call = gateway.videos.UploadMedia()
    await call.write(header("image/png", len(PNG)))
    await call.write(Upload(data=PNG[:1000]))
    call.cancel()
    assert (await gateway.create()).name
    assert stored_files(gateway) == []


def deletion(name: str) -> Any:
    return video_service_pb2.DeleteMediaRequest(name=name)


async def upload(gateway: Any, content: bytes = PNG) -> Any:
    return await gateway.videos.UploadMedia(
        messages(header("image/png", len(content)), chunked(content))
    )


async def stored_bytes(gateway: Any) -> int:
    usage = await gateway.accounts.GetUsage(account_service_pb2.GetUsageRequest())
    size: int = usage.stored_bytes
    return size


async def test_upload_counts_until_it_is_deleted(gateway: Any, refused: Refused) -> None:
    kept, deleted = await upload(gateway, PNG[:1000]), await upload(gateway)
    assert await stored_bytes(gateway) == 1000 + len(PNG)
    await gateway.videos.DeleteMedia(deletion(deleted.name))
    assert await stored_bytes(gateway) == 1000
    assert stored_files(gateway) == [PNG[:1000]]
    refusal = await refused(gateway.videos.DeleteMedia(deletion(deleted.name)))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert (await gateway.create(input_image=kept.name)).spec.input_image == kept.name


async def test_deletion_that_broke_off_behind_the_bytes_is_repeated(gateway: Any) -> None:
    media = await upload(gateway)
    await gateway.objects.delete_prefix(media_key(media.name))
    await gateway.videos.DeleteMedia(deletion(media.name))
    assert (await names(gateway), await stored_bytes(gateway)) == (([], ""), 0)


async def test_upload_of_an_earlier_version_is_deleted(gateway: Any) -> None:
    name = new_media_name("default")
    await gateway.objects.put(media_key(name), PNG)
    await gateway.videos.DeleteMedia(deletion(name))
    assert stored_files(gateway) == []


async def test_only_an_upload_of_ones_own_is_deleted(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.videos.DeleteMedia(deletion("media/x")))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.NOT_FOUND, "name")
    assert refusal.metadata["resource_name"] == "media/x"


@pytest.mark.parametrize("name", ["media/", "media/../objects", "videos/x", "x", ""])
async def test_what_is_no_name_of_an_upload_is_told_as_that(
    gateway: Any, refused: Refused, name: str
) -> None:
    for asked in (
        gateway.videos.GetMedia(video_service_pb2.GetMediaRequest(name=name)),
        gateway.videos.DeleteMedia(deletion(name)),
    ):
        refusal = await refused(asked)
        assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "name")


async def test_upload_that_is_not_stored_does_not_count(gateway: Any, refused: Refused) -> None:
    await refused(gateway.videos.UploadMedia(messages(header("image/png", 100), [b"x" * 100])))
    assert await stored_bytes(gateway) == 0


async def names(gateway: Any, **paging: Any) -> tuple[list[str], str]:
    page = await gateway.videos.ListMedia(video_service_pb2.ListMediaRequest(**paging))
    return [media.name for media in page.media], page.next_page_token


async def test_an_upload_is_returned_as_it_was_answered(gateway: Any, refused: Refused) -> None:
    media = await upload(gateway)
    asked = video_service_pb2.GetMediaRequest(name=media.name)
    assert await gateway.videos.GetMedia(asked) == media
    await gateway.videos.DeleteMedia(deletion(media.name))
    assert (await refused(gateway.videos.GetMedia(asked))).code == grpc.StatusCode.NOT_FOUND


async def test_an_upload_is_kept_on_by_a_video_and_not_by_an_estimate(gateway: Any) -> None:
    media = await upload(gateway)
    asked = video_service_pb2.GetMediaRequest(name=media.name)
    spec = video_pb2.VideoSpec(prompt="a red circle", input_image=media.name)
    await gateway.videos.EstimateCost(video_service_pb2.EstimateCostRequest(spec=spec))
    assert await gateway.videos.GetMedia(asked) == media
    await gateway.create(input_image=media.name)
    kept = await gateway.videos.GetMedia(asked)
    assert kept.expire_time.ToMicroseconds() > media.expire_time.ToMicroseconds()


async def test_uploads_are_listed_newest_first_page_by_page(gateway: Any) -> None:
    made = [(await upload(gateway, PNG[: 100 + number])).name for number in range(5)]
    first, token = await names(gateway, page_size=2)
    await upload(gateway)  # one that comes meanwhile moves no page
    second, token = await names(gateway, page_size=2, page_token=token)
    third, token = await names(gateway, page_size=2, page_token=token)
    assert first + second + third == made[::-1]
    assert token == ""


async def test_an_upload_that_is_gone_is_not_listed(gateway: Any) -> None:
    kept, gone = [await upload(gateway, PNG[:100]) for _ in range(2)]
    await gateway.videos.DeleteMedia(deletion(gone.name))
    assert await names(gateway) == ([kept.name], "")


@pytest.mark.parametrize("token", ["x", "!", "YWJj", "KDE=", "LWluZg=="])
async def test_a_token_of_no_list_is_refused(gateway: Any, refused: Refused, token: str) -> None:
    refusal = await refused(names(gateway, page_token=token))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, "page_token")


class TestShortlyKept:
    @pytest.fixture
    def gateway_settings(self) -> dict[str, Any]:
        return {"upload_kept_days": 1 / 86_400}

    async def test_upload_that_nothing_uses_goes_and_counts_no_longer(
        self, gateway: Any, refused: Refused
    ) -> None:
        media = await upload(gateway)
        assert media.expire_time.seconds - media.create_time.seconds <= 1
        async with asyncio.timeout(20):
            while await stored_bytes(gateway):  # noqa: ASYNC110 (another process may do it)
                await asyncio.sleep(0.2)
        assert stored_files(gateway) == []
        assert await names(gateway) == ([], "")
        refusal = await refused(gateway.create(input_image=media.name))
        assert refusal.field == "spec.input_image"


class TestLittleRoom:
    @pytest.fixture
    def sections(self) -> dict[str, Any]:
        return {"quota": {"max_stored_bytes": len(PNG)}}

    async def test_upload_beyond_it_is_refused_and_no_video_is_taken_once_it_is_full(
        self, gateway: Any, refused: Refused
    ) -> None:
        small = await upload(gateway, PNG[:100])
        refusal = await refused(upload(gateway))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "QUOTA_EXCEEDED",
        )
        assert stored_files(gateway) == [PNG[:100]]
        await gateway.videos.DeleteMedia(deletion(small.name))
        await upload(gateway)
        assert (await refused(gateway.create())).metadata["quota"] == "max_stored_bytes"

    async def test_upload_beyond_it_is_refused_before_its_bytes_come(
        self, gateway: Any, refused: Refused
    ) -> None:
        async def only_the_header() -> AsyncIterator[Upload]:
            yield header("image/png", len(PNG) + 1)
            await asyncio.Event().wait()

        async with asyncio.timeout(20):
            refusal = await refused(gateway.videos.UploadMedia(only_the_header()))
        assert refusal.reason == "QUOTA_EXCEEDED"
