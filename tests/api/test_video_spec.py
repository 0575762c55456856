"""A spec is resolved against its model, and each bad field is refused by its name."""

from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

import telecine
from telecine.api.device_memory import UNLIMITED
from telecine.api.video_spec import resolve_spec
from telecine.errors import InvalidFieldError, NotImplementedYetError
from telecine.v1 import model_pb2, video_pb2

MODEL = model_pb2.Model(
    name="models/toybox",
    limits=model_pb2.ModelLimits(
        sizes=[video_pb2.Size(width=128, height=128), video_pb2.Size(width=192, height=128)],
        min_num_frames=1,
        max_num_frames=65,
        frames_multiple=4,
        min_num_inference_steps=1,
        max_num_inference_steps=100,
        min_fps=4,
        max_fps=30,
        min_guidance_scale=1,
        max_guidance_scale=20,
        samplers=["euler", "heun"],
    ),
    defaults=video_pb2.VideoSpec(
        num_inference_steps=24,
        guidance_scale=4,
        duration=Duration(seconds=2),
        fps=16,
        size=video_pb2.Size(width=128, height=128),
        sampler="euler",
    ),
)

PROMPT = "a red circle moves left"


def spec(**fields: object) -> video_pb2.VideoSpec:
    return video_pb2.VideoSpec(**{"prompt": PROMPT, **fields})  # type: ignore[arg-type]


def test_unset_fields_get_the_models_defaults() -> None:
    resolved = resolve_spec(spec(), MODEL)
    assert resolved.num_frames == 33
    assert resolved.spec.model == "models/toybox"
    assert resolved.spec.num_inference_steps == 24
    assert resolved.spec.guidance_scale == 4
    assert resolved.spec.fps == 16
    assert resolved.spec.sampler == "euler"
    assert resolved.spec.audio_mode == video_pb2.AUDIO_MODE_NONE
    assert resolved.spec.tier == video_pb2.TIER_STANDARD
    assert list(resolved.spec.output_formats) == [video_pb2.OUTPUT_FORMAT_MP4_H264]
    assert resolved.spec.upscale == 1


@pytest.mark.parametrize(
    ("sent", "resolved"), [([2], [2]), ([1, 2], [1, 2]), ([2, 1, 2], [1, 2]), ([0, 2], [1, 2])]
)
def test_each_format_is_made_once_and_mp4_is_the_first(
    sent: list[int], resolved: list[int]
) -> None:
    assert list(resolve_spec(spec(output_formats=sent), MODEL).spec.output_formats) == resolved


def test_sent_fields_are_kept() -> None:
    sent = spec(
        negative_prompt=" blurry ",
        seed=0,
        num_inference_steps=7,
        guidance_scale=1.5,
        duration=Duration(seconds=1),
        fps=8,
        size=video_pb2.Size(width=192, height=128),
        sampler="heun",
        tier=video_pb2.TIER_BATCH,
        upscale=4,
        labels={"team": "films"},
    )
    resolved = resolve_spec(sent, MODEL).spec
    assert (resolved.negative_prompt, resolved.seed) == ("blurry", 0)
    assert (resolved.num_inference_steps, resolved.guidance_scale) == (7, 1.5)
    assert (resolved.fps, resolved.sampler, resolved.upscale) == (8, "heun", 4)
    assert resolved.size == sent.size
    assert resolved.tier == video_pb2.TIER_BATCH
    assert resolved.labels == {"team": "films"}


def test_seed_is_drawn_when_unset() -> None:
    seeds = {resolve_spec(spec(), MODEL).spec.seed for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_sent_message_is_not_changed() -> None:
    sent = spec()
    resolve_spec(sent, MODEL)
    assert sent == spec()


def test_time_to_start_is_kept_and_none_where_it_was_not_sent() -> None:
    assert resolve_spec(spec(), MODEL).start_within_seconds is None
    assert not resolve_spec(spec(), MODEL).spec.HasField("start_within")
    sent = Duration(seconds=1, nanos=500_000_000)
    resolved = resolve_spec(spec(start_within=sent), MODEL)
    assert resolved.start_within_seconds == 1.5
    assert resolved.spec.start_within == sent


def test_cost_grows_with_how_often_a_sampler_asks_the_network() -> None:
    euler, heun = (resolve_spec(spec(sampler=name), MODEL).step_units for name in ("euler", "heun"))
    assert heun == pytest.approx(2 * euler)


def test_cost_doubles_with_guidance() -> None:
    without = resolve_spec(spec(guidance_scale=1), MODEL).step_units
    assert resolve_spec(spec(guidance_scale=2), MODEL).step_units == pytest.approx(2 * without)


def test_memory_grows_with_the_pixels_of_a_video() -> None:
    model = model_pb2.Model()
    model.CopyFrom(MODEL)
    assert resolve_spec(spec(), model).memory_bytes == 0
    model.limits.memory_bytes = 900_000_000
    model.limits.memory_bytes_per_megapixel = 60_000_000
    resolved = resolve_spec(spec(), model)
    size = resolved.spec.size
    num_pixels = resolved.num_frames * size.width * size.height
    assert resolved.memory_bytes == 900_000_000 + 60 * num_pixels


@pytest.mark.parametrize(
    ("fields", "attention"),
    [
        ({"duration": Duration(seconds=2)}, "full"),
        ({"duration": Duration(seconds=15), "fps": 4}, "window"),
        ({"duration": Duration(seconds=2), "tier": video_pb2.TIER_REALTIME}, "causal"),
        ({"duration": Duration(seconds=15), "fps": 4, "tier": video_pb2.TIER_REALTIME}, "causal"),
    ],
)
def test_attention_is_of_the_tier_the_length_and_the_memory_there_is(
    fields: dict[str, object], attention: str
) -> None:
    model = model_pb2.Model()
    model.CopyFrom(MODEL)
    model.limits.chunk_latent_frames = 3
    model.limits.attention_strategies.extend(["full", "causal", "window"])
    model.limits.memory_bytes = 900_000_000
    assert resolve_spec(spec(**fields), model, device_bytes=1).attention == attention


def test_a_window_s_memory_is_what_a_worker_needs_for_it() -> None:
    model = model_pb2.Model()
    model.CopyFrom(MODEL)
    model.limits.attention_strategies.extend(["full", "window"])
    model.limits.memory_bytes_per_megapixel = 60_000_000
    model.limits.window_memory_bytes_per_megapixel = 10_000_000
    sent = spec(duration=Duration(seconds=15), fps=4)
    full, window = (resolve_spec(sent, model, device_bytes=each) for each in (UNLIMITED, 0))
    assert (full.attention, window.attention) == ("full", "window")
    assert full.memory_bytes == 6 * window.memory_bytes


SIZE = video_pb2.Size

BAD_FIELDS = [
    ("spec.prompt", {"prompt": ""}),
    ("spec.prompt", {"prompt": "a" * 2001}),
    ("spec.negative_prompt", {"negative_prompt": "a" * 2001}),
    ("spec.seed", {"seed": -1}),
    ("spec.num_inference_steps", {"num_inference_steps": 0}),
    ("spec.num_inference_steps", {"num_inference_steps": -1}),
    ("spec.num_inference_steps", {"num_inference_steps": 10**9}),
    ("spec.guidance_scale", {"guidance_scale": float("nan")}),
    ("spec.guidance_scale", {"guidance_scale": float("inf")}),
    ("spec.guidance_scale", {"guidance_scale": float("-inf")}),
    ("spec.guidance_scale", {"guidance_scale": 0.5}),
    ("spec.start_within", {"start_within": Duration()}),
    ("spec.start_within", {"start_within": Duration(nanos=999_999_999)}),
    ("spec.start_within", {"start_within": Duration(seconds=-5)}),
    ("spec.start_within", {"start_within": Duration(seconds=1, nanos=-1)}),
    ("spec.start_within", {"start_within": Duration(seconds=2**62)}),
    ("spec.duration", {"duration": Duration()}),
    ("spec.duration", {"duration": Duration(seconds=-1)}),
    ("spec.duration", {"duration": Duration(nanos=-1)}),
    ("spec.duration", {"duration": Duration(nanos=2_000_000_000)}),
    ("spec.duration", {"duration": Duration(seconds=10**9)}),
    ("spec.duration", {"duration": Duration(seconds=2**63 - 1)}),
    ("spec.duration", {"duration": Duration(seconds=4), "fps": 30}),
    ("spec.fps", {"fps": 0}),
    ("spec.fps", {"fps": -8}),
    ("spec.fps", {"fps": 10**9}),
    ("spec.size", {"size": SIZE()}),
    ("spec.size", {"size": SIZE(width=128)}),
    ("spec.size", {"size": SIZE(width=-128, height=-128)}),
    ("spec.size", {"size": SIZE(width=10**9, height=10**9)}),
    ("spec.sampler", {"sampler": "magic"}),
    ("spec.sampler", {"sampler": "EULER"}),
    ("spec.audio_mode", {"audio_mode": 99}),
    ("spec.tier", {"tier": 99}),
    ("spec.output_formats[1]", {"output_formats": [1, 99]}),
    ("spec.upscale", {"upscale": 0}),
    ("spec.upscale", {"upscale": 9}),
    ("spec.labels", {"labels": {"Team": "films"}}),
    ("spec.labels", {"labels": {"": "films"}}),
    ("spec.labels", {"labels": {"a" * 64: "films"}}),
    ("spec.labels", {"labels": {f"key{k}": "" for k in range(33)}}),
    ('spec.labels["team"]', {"labels": {"team": "a" * 64}}),
    ('spec.labels["team"]', {"labels": {"team": "a\nb"}}),
]


@pytest.mark.parametrize(("field", "fields"), BAD_FIELDS)
def test_bad_field_is_refused_by_its_name(field: str, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidFieldError) as raised:
        resolve_spec(spec(**fields), MODEL)
    assert raised.value.field == field


LATER_FEATURES = [
    ("spec.output_formats[1]", {"output_formats": [1, video_pb2.OUTPUT_FORMAT_MP4_AV1]}),
]


@pytest.mark.parametrize(("field", "fields"), LATER_FEATURES)
def test_feature_of_a_later_version_names_its_field(field: str, fields: dict[str, object]) -> None:
    with pytest.raises(NotImplementedYetError) as raised:
        resolve_spec(spec(**fields), MODEL)
    assert raised.value.field == field


def test_default_duration_too_long_at_the_fps_asked_for_names_fps() -> None:
    model = model_pb2.Model()
    model.CopyFrom(MODEL)
    model.limits.max_num_frames = 33
    with pytest.raises(InvalidFieldError, match=r"2 s at 30 fps are 61 frames") as raised:
        resolve_spec(spec(fps=30), model)
    assert raised.value.field == "spec.fps"


def test_a_picture_too_large_to_play_names_upscale() -> None:
    model = model_pb2.Model()
    model.CopyFrom(MODEL)
    model.limits.sizes.add(width=832, height=480)
    sent = spec(size=SIZE(width=832, height=480), upscale=5)
    with pytest.raises(InvalidFieldError) as raised:
        resolve_spec(sent, model)
    assert raised.value.field == "spec.upscale"


def test_shipped_model_resolves_a_request_that_leaves_all_unset() -> None:
    weights = Path(telecine.__file__).parent / "weights" / "toybox"
    model = json_format.Parse((weights / "model.json").read_text(), model_pb2.Model())
    resolved = resolve_spec(spec(), model)
    assert resolved.num_frames == 33
    assert resolved.spec.sampler in model.limits.samplers
