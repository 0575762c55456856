"""Every bad input is refused at once with its own code and its field, and the next call works."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from telecine.v1 import model_service_pb2, video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]

PROMPT = "a red circle moves left"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

BAD_SPECS = [
    (INVALID, "spec.prompt", {"prompt": ""}),
    (INVALID, "spec.prompt", {"prompt": " \n\u200b"}),
    (INVALID, "spec.prompt", {"prompt": "a" * 2001}),
    (INVALID, "spec.negative_prompt", {"negative_prompt": "a" * 2001}),
    (INVALID, "spec.model", {"model": "models/absent"}),
    (INVALID, "spec.model", {"model": "toybox"}),
    (INVALID, "spec.model", {"model": "models/../toybox"}),
    (INVALID, "spec.size", {"size": video_pb2.Size(width=127, height=128)}),
    (INVALID, "spec.duration", {"duration": Duration()}),
    (INVALID, "spec.duration", {"duration": Duration(seconds=10**9), "fps": 4}),
    (INVALID, "spec.guidance_scale", {"guidance_scale": float("nan")}),
    (INVALID, "spec.guidance_scale", {"guidance_scale": float("inf")}),
    (INVALID, "spec.seed", {"seed": -1}),
    (INVALID, "spec.num_inference_steps", {"num_inference_steps": 10**9}),
    (INVALID, "spec.sampler", {"sampler": "magic"}),
    (INVALID, "spec.labels", {"labels": {"Team!": "red"}}),
    (INVALID, "spec.audio_mode", {"audio_mode": video_pb2.AUDIO_MODE_JOINT}),
    (INVALID, "spec.input_audio", {"input_audio": "media/x"}),
    (INVALID, "spec.input_audio", {"input_audio": "track.wav"}),
    (INVALID, "spec.input_image", {"input_image": "media/x"}),
    (UNIMPLEMENTED, "spec.output_formats[0]", {"output_formats": [3]}),
]


def creation(request_id: str = "", **fields: Any) -> video_service_pb2.CreateVideoRequest:
    spec = video_pb2.VideoSpec(**{"prompt": PROMPT, **fields})
    return video_service_pb2.CreateVideoRequest(spec=spec, request_id=request_id)


@pytest.mark.parametrize(("code", "field", "fields"), BAD_SPECS)
async def test_bad_spec_is_refused_and_the_next_one_taken(
    gateway: Any, refused: Refused, code: grpc.StatusCode, field: str, fields: dict[str, Any]
) -> None:
    refusal = await refused(gateway.videos.CreateVideo(creation(**fields)))
    assert (refusal.code, refusal.field) == (code, field)
    assert field in refusal.message
    assert (await gateway.videos.CreateVideo(creation())).name


async def test_missing_spec_names_the_prompt(gateway: Any, refused: Refused) -> None:
    refusal = await refused(gateway.videos.CreateVideo(video_service_pb2.CreateVideoRequest()))
    assert (refusal.code, refusal.field) == (INVALID, "spec.prompt")


@pytest.mark.parametrize("request_id", ["a" * 65, "a b", "a/b", "\u00e4"])
async def test_bad_request_id_is_refused(gateway: Any, refused: Refused, request_id: str) -> None:
    refusal = await refused(gateway.videos.CreateVideo(creation(request_id)))
    assert (refusal.code, refusal.field) == (INVALID, "request_id")


NAMED_CALLS = [
    ("GetVideo", video_service_pb2.GetVideoRequest),
    ("CancelVideo", video_service_pb2.CancelVideoRequest),
    ("DeleteVideo", video_service_pb2.DeleteVideoRequest),
    ("WatchVideo", video_service_pb2.WatchVideoRequest),
    ("DownloadVideo", video_service_pb2.DownloadVideoRequest),
]


async def call(gateway: Any, method: str, request: Any) -> None:
    """Makes the call and reads its first answer."""
    started = getattr(gateway.videos, method)(request)
    if method in {"WatchVideo", "DownloadVideo"}:
        await started.read()
    else:
        await started


@pytest.mark.parametrize(("method", "request_type"), NAMED_CALLS)
async def test_name_that_does_not_exist_is_not_found(
    gateway: Any, refused: Refused, method: str, request_type: Any
) -> None:
    refusal = await refused(call(gateway, method, request_type(name="videos/absent")))
    assert (refusal.code, refusal.field) == (grpc.StatusCode.NOT_FOUND, "name")
    assert refusal.metadata["resource_name"] == "videos/absent"


@pytest.mark.parametrize(("method", "request_type"), NAMED_CALLS)
@pytest.mark.parametrize(
    "name", ["", "absent", "videos/", "videos/../x", "models/toybox", "videos/" + "x" * 5000]
)
async def test_malformed_name_is_refused(
    gateway: Any, refused: Refused, method: str, request_type: Any, name: str
) -> None:
    refusal = await refused(call(gateway, method, request_type(name=name)))
    assert (refusal.code, refusal.field) == (INVALID, "name")
    assert len(refusal.message) < 300


async def test_artifact_id_that_could_lead_elsewhere_is_not_found(
    gateway: Any, refused: Refused
) -> None:
    await gateway.create()
    video = await gateway.finish(await gateway.claim(), b"\0\0\0\x18ftypisom")
    ids = ["../video.mp4", "/etc/passwd", "1/video.mp4", "video.mp4/..", "a\r\nb", "\0", "x" * 5000]
    for artifact_id in ids:
        request = video_service_pb2.DownloadVideoRequest(name=video.name, artifact_id=artifact_id)
        refusal = await refused(call(gateway, "DownloadVideo", request))
        assert (refusal.code, refusal.field) == (grpc.StatusCode.NOT_FOUND, "artifact_id")
        assert len(refusal.message) < 300
        assert refusal.message.isprintable()


BAD_LISTS = [
    ("page_token", {"page_token": "!"}),
    ("page_token", {"page_token": "AAAA"}),
    ("page_token", {"page_token": "\u00e4" * 1000}),
    ("page_size", {"page_size": -1}),
    ("states[0]", {"states": [99]}),
    ("states[1]", {"states": [1, 0]}),
    ("model", {"model": "toybox"}),
    ("labels", {"labels": {"Team": "red"}}),
    ("create_time_from", {"create_time_from": Timestamp(seconds=2**62)}),
    ("create_time_until", {"create_time_until": Timestamp(nanos=-1)}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_LISTS)
async def test_bad_list_request_is_refused(
    gateway: Any, refused: Refused, field: str, fields: dict[str, Any]
) -> None:
    request = video_service_pb2.ListVideosRequest(**fields)
    refusal = await refused(gateway.videos.ListVideos(request))
    assert (refusal.code, refusal.field) == (INVALID, field)


async def test_page_token_of_other_filters_is_refused(gateway: Any, refused: Refused) -> None:
    for _ in range(2):
        await gateway.create()
    page = await gateway.videos.ListVideos(video_service_pb2.ListVideosRequest(page_size=1))
    request = video_service_pb2.ListVideosRequest(
        page_token=page.next_page_token, model="models/toybox"
    )
    refusal = await refused(gateway.videos.ListVideos(request))
    assert (refusal.code, refusal.field) == (INVALID, "page_token")


async def test_page_size_over_the_limit_counts_as_the_limit(gateway: Any) -> None:
    await gateway.create()
    request = video_service_pb2.ListVideosRequest(page_size=2**31 - 1)
    assert len((await gateway.videos.ListVideos(request)).videos) == 1


@pytest.mark.parametrize("after", ["x", "1-", "-1", "1-2-3", "9" * 40])
async def test_malformed_event_id_is_refused(gateway: Any, refused: Refused, after: str) -> None:
    video = await gateway.create()
    request = video_service_pb2.WatchVideoRequest(name=video.name, after_event_id=after)
    refusal = await refused(gateway.videos.WatchVideo(request).read())
    assert (refusal.code, refusal.field) == (INVALID, "after_event_id")


async def test_model_that_does_not_exist_is_not_found(gateway: Any, refused: Refused) -> None:
    request = model_service_pb2.GetModelRequest(name="models/absent")
    refusal = await refused(gateway.models.GetModel(request))
    assert refusal.code == grpc.StatusCode.NOT_FOUND
    assert refusal.metadata["resource_name"] == "models/absent"


async def test_message_of_100_mb_is_refused_and_the_next_one_taken(gateway: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await gateway.videos.CreateVideo(creation(prompt="a" * 100_000_000))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await gateway.videos.CreateVideo(creation())).name


async def test_bytes_that_are_no_message_are_refused(gateway: Any, refused: Refused) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        create = channel.unary_unary("/telecine.v1.VideoService/CreateVideo")
        refusal = await refused(create(b"\xff\xff\xff"))
        assert (refusal.code, refusal.field) == (INVALID, "request")
        upload = channel.stream_unary("/telecine.v1.VideoService/UploadMedia")
        refusal = await refused(upload(iter([b"\xff\xff\xff"])))
        assert (refusal.code, refusal.field) == (INVALID, "request")
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert (await refused(check(b"\xff\xff\xff"))).code == INVALID
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        assert (await refused(watch(b"\xff\xff\xff").read())).code == INVALID
        reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        reflect = channel.stream_stream(reflection)(iter([b"\xff\xff\xff"]))
        assert (await refused(reflect.read())).code == INVALID


async def test_unknown_method_is_unimplemented(gateway: Any) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary("/telecine.v1.VideoService/PaintVideo")(b"")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_refusals_side_by_side_do_not_disturb_good_calls(gateway: Any) -> None:
    calls = [
        gateway.videos.CreateVideo(creation(seed=-1 if number % 2 else number))
        for number in range(40)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, video_pb2.Video) for answer in answers) == 20
