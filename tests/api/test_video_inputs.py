"""What a video is made from is checked before it is queued, and each error names its field."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from telecine.api.media_names import new_media_name
from telecine.api.video_spec import ResolvedSpec, resolve_spec
from telecine.errors import InvalidFieldError
from telecine.storage.keys import media_key
from telecine.v1 import model_pb2, video_pb2, video_service_pb2

Refused = Callable[[Awaitable[object]], Awaitable[Any]]
Model = model_pb2.Model
Edit, Extend = video_pb2.Edit, video_pb2.Extend
ALL_FEATURES = (Model.FEATURE_IMAGE_TO_VIDEO, Model.FEATURE_EDIT, Model.FEATURE_EXTEND)
JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(60)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(60)
FILM, PICTURE, TRACK = (new_media_name("default") for _ in range(3))
OTHERS_PICTURE = new_media_name("other")


def model(**limits: Any) -> Model:
    size = video_pb2.Size(width=128, height=128)
    return Model(
        name="models/toybox",
        features=ALL_FEATURES,
        limits=model_pb2.ModelLimits(
            **{
                "sizes": [size],
                "min_num_frames": 1,
                "max_num_frames": 65,
                "frames_multiple": 4,
                "min_num_inference_steps": 1,
                "max_num_inference_steps": 100,
                "min_fps": 4,
                "max_fps": 30,
                "min_guidance_scale": 1,
                "max_guidance_scale": 20,
                "samplers": ["euler"],
                "chunk_latent_frames": 3,
                "max_context_frames": 21,
                **limits,
            }
        ),
        defaults=video_pb2.VideoSpec(
            num_inference_steps=20,
            guidance_scale=4,
            duration=Duration(seconds=2),
            fps=16,
            size=size,
            sampler="euler",
        ),
    )


def resolve(source: video_pb2.Video | None = None, **fields: Any) -> ResolvedSpec:
    spec = video_pb2.VideoSpec(**{"prompt": "a red circle", **fields})
    return resolve_spec(spec, model(), source)


def source(num_frames: int, fps: int = 16) -> video_pb2.Video:
    return video_pb2.Video(
        name="videos/a", num_frames=num_frames, spec=video_pb2.VideoSpec(fps=fps)
    )


def test_what_follows_an_image_is_made_in_chunks_where_the_model_can() -> None:
    resolved = resolve(input_image="media/a")
    assert (resolved.num_frames, resolved.num_steps) == (33, 3 * 20)
    assert resolved.spec.input_image == "media/a"


def test_edit_of_a_video_has_its_length_and_rate() -> None:
    resolved = resolve(source(24, fps=8), edit=Edit(source="videos/a"))
    assert (resolved.num_frames, resolved.spec.fps) == (21, 8)
    assert resolved.spec.edit == Edit(source="videos/a", strength=0.7)
    assert resolved.num_steps == 20


def test_edit_of_an_upload_has_the_length_asked_for() -> None:
    edit = Edit(source="media/a", strength=0.25)
    resolved = resolve(edit=edit, duration=Duration(seconds=1))
    assert (resolved.num_frames, resolved.spec.edit) == (17, edit)


def test_extension_counts_the_source_and_what_is_added() -> None:
    extend = Extend(source="videos/a", duration=Duration(seconds=1))
    resolved = resolve(source(50), extend=extend)
    assert resolved.num_frames == 50 + 16
    assert resolved.spec.extend.num_frames == 16
    assert resolved.spec.extend.num_context_frames == 21
    assert resolved.spec.extend.num_overlap_frames == 3
    assert resolved.spec.duration == Duration(seconds=4, nanos=125_000_000)
    # That of the overlap and four new latent frames in chunks of three.
    assert resolved.num_steps == 2 * 20


@pytest.mark.parametrize(("num_frames", "context", "overlap"), [(8, 5, 3), (7, 5, 0), (4, 1, 0)])
def test_extension_of_a_short_video_has_a_context_that_shows_motion_before_an_overlap(
    num_frames: int, context: int, overlap: int
) -> None:
    extend = Extend(source="videos/a", duration=Duration(seconds=1))
    resolved = resolve(source(num_frames), extend=extend)
    assert resolved.num_frames == num_frames + 16
    assert resolved.spec.extend.num_context_frames == context
    assert resolved.spec.extend.num_overlap_frames == overlap


def test_extension_that_just_fits_the_model_has_no_overlap() -> None:
    extend = Extend(source="videos/a", duration=Duration(seconds=2, nanos=750_000_000))
    resolved = resolve(source(50), extend=extend)
    assert resolved.spec.extend.num_frames == 44
    assert resolved.spec.extend.num_overlap_frames == 0


def test_extension_has_the_guidance_that_the_model_goes_on_with() -> None:
    extend = Extend(source="videos/a", duration=Duration(seconds=1))
    going_on = model()
    going_on.extend_guidance_scale = 1.5
    spec = video_pb2.VideoSpec(prompt="a red circle", extend=extend)
    assert resolve_spec(spec, going_on, source(50)).spec.guidance_scale == 1.5
    spec.guidance_scale = 3.0
    assert resolve_spec(spec, going_on, source(50)).spec.guidance_scale == 3.0
    assert resolve(source(50), extend=extend).spec.guidance_scale == 4.0
    spec.ClearField("guidance_scale")
    spec.negative_prompt = "blurred"
    assert resolve_spec(spec, going_on, source(50)).spec.guidance_scale == 4.0


def test_extension_of_an_upload_is_as_long_as_asked() -> None:
    extend = Extend(source="media/a", duration=Duration(nanos=1))
    resolved = resolve(extend=extend, duration=Duration(seconds=2))
    assert resolved.num_frames == 32
    assert resolved.spec.extend.num_frames == 4


def test_long_source_costs_no_more_than_its_context() -> None:
    extend = Extend(source="videos/a", duration=Duration(seconds=1))
    short, long = (resolve(source(frames), extend=extend) for frames in (24, 2000))
    assert short.step_units == long.step_units
    assert long.num_frames == 2016


BAD_INPUTS = [
    ("spec.extend", {"input_image": "media/a", "extend": Extend()}),
    ("spec.extend", {"edit": Edit(), "extend": Extend()}),
    ("spec.edit.strength", {"edit": Edit(source="media/a", strength=0)}),
    ("spec.edit.strength", {"edit": Edit(source="media/a", strength=1.01)}),
    ("spec.edit.strength", {"edit": Edit(source="media/a", strength=float("nan"))}),
    ("spec.extend.duration", {"extend": Extend(source="videos/a")}),
    ("spec.extend.duration", {"extend": Extend(duration=Duration(seconds=-1))}),
    ("spec.extend.duration", {"extend": Extend(duration=Duration(seconds=10**10))}),
    ("spec.duration", {"input_image": "media/a", "duration": Duration(nanos=1)}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_INPUTS)
def test_bad_input_is_refused_by_its_name(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidFieldError) as raised:
        resolve(**fields)
    assert raised.value.field == field


BAD_LENGTHS = [
    ("spec.duration", {"edit": Edit(source="videos/a"), "duration": Duration(seconds=3)}),
    ("spec.duration", {"extend": Extend(duration=Duration(seconds=1))}),
    (
        "spec.duration",
        {"extend": Extend(duration=Duration(seconds=1)), "duration": Duration(seconds=1)},
    ),
    (
        "spec.duration",
        {"extend": Extend(duration=Duration(seconds=1)), "duration": Duration(seconds=9)},
    ),
    ("spec.extend.duration", {"extend": Extend(duration=Duration(seconds=3))}),
    ("spec.extend.duration", {"extend": Extend(duration=Duration(seconds=9999))}),
    ("spec.duration", {"extend": Extend(duration=Duration(seconds=1))}),
]
SOURCES = [source(33), None, source(33), source(33), source(33), source(33), source(30_000)]


@pytest.mark.parametrize(
    ("field", "fields", "made_from"),
    [(*case, each) for case, each in zip(BAD_LENGTHS, SOURCES, strict=True)],
)
def test_length_that_does_not_fit_the_source_is_refused(
    field: str, fields: dict[str, Any], made_from: video_pb2.Video | None
) -> None:
    with pytest.raises(InvalidFieldError) as raised:
        resolve(made_from, **fields)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("spec.input_image", {"input_image": "media/a"}),
        ("spec.edit", {"edit": Edit(source="media/a")}),
        ("spec.extend", {"extend": Extend(source="media/a")}),
    ],
)
def test_model_without_the_feature_refuses_it(field: str, fields: dict[str, Any]) -> None:
    plain = model()
    plain.ClearField("features")
    spec = video_pb2.VideoSpec(prompt="a red circle", **fields)
    with pytest.raises(InvalidFieldError, match="has no FEATURE_") as raised:
        resolve_spec(spec, plain)
    assert raised.value.field == field


def test_model_that_starts_from_images_asks_for_one() -> None:
    with pytest.raises(InvalidFieldError, match="needs a first frame") as raised:
        resolve_spec(video_pb2.VideoSpec(prompt="a"), model(is_image_required=True))
    assert raised.value.field == "spec.input_image"


async def _refusal(gateway: Any, refused: Refused, **fields: Any) -> Any:
    spec = video_pb2.VideoSpec(prompt="a red circle", **fields)
    call = gateway.videos.CreateVideo(video_service_pb2.CreateVideoRequest(spec=spec))
    return await refused(call)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("spec.input_image", {"input_image": new_media_name("default")}),
        ("spec.input_image", {"input_image": OTHERS_PICTURE}),
        ("spec.input_image", {"input_image": "media/../videos"}),
        ("spec.input_image", {"input_image": "videos/a"}),
        ("spec.input_image", {"input_image": FILM}),
        ("spec.input_audio", {"input_audio": new_media_name("default")}),
        ("spec.input_audio", {"input_audio": new_media_name("other")}),
        ("spec.input_audio", {"input_audio": "media/../videos"}),
        ("spec.input_audio", {"input_audio": FILM}),
        ("spec.edit.source", {"edit": Edit()}),
        ("spec.edit.source", {"edit": Edit(source="videos/absent")}),
        ("spec.edit.source", {"edit": Edit(source=PICTURE)}),
        ("spec.extend.source", {"extend": Extend(source="x", duration=Duration(seconds=1))}),
    ],
)
async def test_source_that_is_not_there_is_refused_by_its_field(
    gateway: Any, refused: Refused, field: str, fields: dict[str, Any]
) -> None:
    await gateway.objects.put(media_key(FILM), MP4)
    await gateway.objects.put(media_key(PICTURE), JPEG)
    await gateway.objects.put(media_key(OTHERS_PICTURE), JPEG)
    refusal = await _refusal(gateway, refused, **fields)
    assert (refusal.code, refusal.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_source_must_have_succeeded(gateway: Any, refused: Refused) -> None:
    source_video = await gateway.create()
    fields = {"edit": Edit(source=source_video.name)}
    refusal = await _refusal(gateway, refused, **fields)
    assert refusal.code == grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.message == f"spec.edit.source: {source_video.name} is QUEUED, not SUCCEEDED"
    assert refusal.field == "spec.edit.source"
    await gateway.finish(await gateway.claim(), MP4)
    edited = await gateway.create(**fields)
    assert (edited.num_frames, edited.spec.edit.strength) == (33, 0.7)


async def test_uploads_are_taken_as_what_they_are(gateway: Any) -> None:
    await gateway.objects.put(media_key(FILM), MP4)
    await gateway.objects.put(media_key(PICTURE), JPEG)
    await gateway.objects.put(media_key(TRACK), WAV)
    pictured = await gateway.create(input_image=PICTURE, input_audio=TRACK)
    edited = await gateway.create(edit=Edit(source=FILM))
    assert (pictured.spec.input_image, pictured.spec.input_audio) == (PICTURE, TRACK)
    assert edited.spec.edit.source == FILM
