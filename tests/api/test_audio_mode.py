"""How a video's sound is made: the tier's default, its fall-backs, and what is refused."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from telecine.api.audio_mode import JOINT, NONE, POST_SYNC, AudioMode
from telecine.api.video_spec import ResolvedSpec, resolve_spec
from telecine.errors import InvalidFieldError
from telecine.v1 import model_pb2, video_pb2

Model = model_pb2.Model
REALTIME, PREMIUM = video_pb2.TIER_REALTIME, video_pb2.TIER_PREMIUM
STANDARD, BATCH = video_pb2.TIER_STANDARD, video_pb2.TIER_BATCH
BOTH = (JOINT, POST_SYNC)
SIZE = video_pb2.Size(width=128, height=128)


def model(*audio_modes: AudioMode) -> Model:
    return Model(
        name="models/toybox",
        features=[Model.FEATURE_IMAGE_TO_VIDEO, Model.FEATURE_EDIT, Model.FEATURE_EXTEND],
        limits=model_pb2.ModelLimits(
            sizes=[SIZE],
            min_num_frames=1,
            max_num_frames=961,
            frames_multiple=4,
            min_num_inference_steps=1,
            max_num_inference_steps=100,
            min_fps=4,
            max_fps=30,
            min_guidance_scale=1,
            max_guidance_scale=20,
            samplers=["euler"],
            audio_modes=[NONE, *audio_modes],
            chunk_latent_frames=3,
            max_context_frames=21,
            attention_strategies=["full", "causal", "window"],
        ),
        defaults=video_pb2.VideoSpec(
            num_inference_steps=20,
            guidance_scale=4,
            duration=Duration(seconds=2),
            fps=16,
            size=SIZE,
            sampler="euler",
        ),
    )


def resolve(*audio_modes: AudioMode, hears: bool = True, **fields: Any) -> ResolvedSpec:
    spec = video_pb2.VideoSpec(prompt="a red circle", **fields)
    asked = model(*audio_modes)
    if hears:
        asked.features.append(Model.FEATURE_AUDIO_TO_VIDEO)
    return resolve_spec(spec, asked)


@pytest.mark.parametrize(
    ("tier", "modes", "expected"),
    [
        (PREMIUM, BOTH, JOINT),
        (PREMIUM, (POST_SYNC,), POST_SYNC),
        (PREMIUM, (JOINT,), JOINT),
        (PREMIUM, (), NONE),
        (STANDARD, BOTH, POST_SYNC),
        (STANDARD, (JOINT,), JOINT),
        (STANDARD, (POST_SYNC,), POST_SYNC),
        (STANDARD, (), NONE),
        (BATCH, BOTH, NONE),
        (REALTIME, BOTH, NONE),
    ],
)
def test_unset_mode_is_the_tier_s_or_what_the_model_has_of_it(
    tier: video_pb2.Tier.ValueType, modes: tuple[AudioMode, ...], expected: AudioMode
) -> None:
    assert resolve(*modes, tier=tier).spec.audio_mode == expected


def test_unset_tier_has_the_sound_of_standard() -> None:
    assert resolve(*BOTH).spec.audio_mode == POST_SYNC


@pytest.mark.parametrize("mode", [NONE, JOINT, POST_SYNC])
def test_mode_that_is_asked_for_is_kept_in_any_tier(mode: AudioMode) -> None:
    assert resolve(*BOTH, tier=BATCH, audio_mode=mode).spec.audio_mode == mode


LONG = {"duration": Duration(seconds=40)}
FROM_IMAGE = {"input_image": "media/x"}
EDIT = {"edit": video_pb2.Edit(source="media/x")}
EXTEND = {
    "extend": video_pb2.Extend(source="media/x", duration=Duration(seconds=1)),
    "duration": Duration(seconds=3),
}


@pytest.mark.parametrize("fields", [LONG, FROM_IMAGE, EDIT])
def test_video_that_cannot_be_joint_gets_its_sound_afterwards(fields: dict[str, Any]) -> None:
    resolved = resolve(*BOTH, tier=PREMIUM, **fields)
    assert resolved.spec.audio_mode == POST_SYNC
    assert resolve(JOINT, tier=PREMIUM, **fields).spec.audio_mode == NONE


def test_video_that_goes_on_with_another_one_gets_none() -> None:
    assert resolve(*BOTH, tier=PREMIUM, **EXTEND).spec.audio_mode == NONE


def test_track_of_one_s_own_takes_the_place_of_the_model_s_sound() -> None:
    spec = resolve(*BOTH, tier=PREMIUM, input_audio="media/t").spec
    assert (spec.audio_mode, spec.input_audio) == (NONE, "media/t")
    assert resolve(*BOTH, input_audio="media/t", audio_mode=NONE).spec.audio_mode == NONE


def test_picture_is_made_to_a_track_where_it_is_asked_for_and_the_model_can() -> None:
    fields = {"input_audio": "media/t", "audio_mode": JOINT}
    spec = resolve(*BOTH, **fields).spec
    assert (spec.audio_mode, spec.input_audio) == (JOINT, "media/t")
    with pytest.raises(InvalidFieldError, match="has no FEATURE_AUDIO_TO_VIDEO") as raised:
        resolve(*BOTH, hears=False, **fields)
    assert raised.value.field == "spec.audio_mode"


TRACK = {"input_audio": "media/t"}
REFUSED = [
    ({"audio_mode": 99}, BOTH, "99 is not a mode"),
    ({"audio_mode": JOINT}, (POST_SYNC,), "models/toybox has no JOINT; it has NONE, POST_SYNC"),
    ({"audio_mode": POST_SYNC}, (), "models/toybox has no POST_SYNC; it has NONE"),
    ({"audio_mode": JOINT, "tier": REALTIME}, BOTH, "full attention; this one has causal"),
    ({"audio_mode": JOINT, **FROM_IMAGE}, BOTH, "full attention; this one has causal"),
    ({"audio_mode": JOINT, **LONG}, BOTH, "full attention; this one has window"),
    ({"audio_mode": JOINT, **EDIT}, BOTH, "begins with noise"),
    ({"audio_mode": POST_SYNC, **EXTEND}, BOTH, "gone on with"),
    ({"audio_mode": POST_SYNC, **TRACK}, BOTH, "input_audio is taken as it is"),
    ({"audio_mode": JOINT, **TRACK}, (POST_SYNC,), "models/toybox has no JOINT"),
    ({"audio_mode": JOINT, **TRACK, "tier": REALTIME}, BOTH, "full attention; this one has causal"),
    ({"audio_mode": JOINT, **TRACK, **FROM_IMAGE}, BOTH, "full attention; this one has causal"),
    ({"audio_mode": JOINT, **TRACK, **LONG}, BOTH, "full attention; this one has window"),
    ({"audio_mode": JOINT, **TRACK, **EDIT}, BOTH, "begins with noise"),
    ({"audio_mode": JOINT, **TRACK, **EXTEND}, BOTH, "gone on with"),
]


@pytest.mark.parametrize(("fields", "modes", "message"), REFUSED)
def test_mode_that_cannot_be_had_is_refused_by_its_field(
    fields: dict[str, Any], modes: tuple[AudioMode, ...], message: str
) -> None:
    with pytest.raises(InvalidFieldError, match=message) as raised:
        resolve(*modes, **fields)
    assert raised.value.field == "spec.audio_mode"
