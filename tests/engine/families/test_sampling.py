"""What a request's mode of sound makes of the latents that are denoised."""

from pathlib import Path

import pytest
from tiny_ltx2 import write_tiny_ltx2

from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config

SIZE = VideoSize(num_frames=17, height=64, width=96, fps=24)
REQUEST = SamplingRequest(
    seed=1, num_inference_steps=4, guidance_scale=3.0, sampler="euler", attention="full"
)


@pytest.fixture(scope="module")
def ltx2(tmp_path_factory: pytest.TempPathFactory) -> Family:
    folder: Path = tmp_path_factory.mktemp("ltx2")
    write_tiny_ltx2(folder)
    return load_family(str(folder))


@pytest.fixture(scope="module")
def toybox() -> Family:
    return load_family(str(BUILT_IN_WEIGHTS / "toybox"))


def test_network_that_cannot_be_without_sound_denoises_it_unheard_too(ltx2: Family) -> None:
    joint, none = (
        sampling_config(ltx2, SIZE, REQUEST._replace(audio_mode=mode)) for mode in ("JOINT", "NONE")
    )
    assert joint == none
    # 17 frames of 24 a second at 25 latents a second.
    assert joint.audio_latents_shape == (1, 8, 18, 4)


def test_silent_video_has_no_sound_to_denoise(toybox: Family) -> None:
    assert sampling_config(toybox, SIZE, REQUEST).audio_latents_shape is None


@pytest.mark.parametrize("mode", ["POST_SYNC", "LOUD"])
def test_mode_that_the_model_lacks_is_refused(ltx2: Family, mode: str) -> None:
    with pytest.raises(ValueError, match=f"audio_mode: LTX-2 has no '{mode}'"):
        sampling_config(ltx2, SIZE, REQUEST._replace(audio_mode=mode))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"attention": "window"}, {"strength": 0.5}])
def test_sound_is_denoised_with_whole_videos_made_from_noise_alone(
    ltx2: Family, change: dict[str, object]
) -> None:
    request = REQUEST._replace(audio_mode="JOINT")._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="audio_mode: JOINT is for videos of full attention"):
        sampling_config(ltx2, SIZE, request)


def test_picture_is_made_to_a_sound_only_by_a_model_that_can_and_only_jointly(
    toybox: Family, ltx2: Family
) -> None:
    given = REQUEST._replace(audio_mode="JOINT", is_audio_given=True)
    config = sampling_config(toybox, SIZE, given)
    assert config.is_audio_given
    assert config.audio_latents_shape == (1, 16, 18)
    message = "given_audio_latents: {} makes no picture to a sound"
    with pytest.raises(ValueError, match=message.format("LTX-2")):
        sampling_config(ltx2, SIZE, given)
    with pytest.raises(ValueError, match=message.format("Toybox")):
        sampling_config(toybox, SIZE, given._replace(audio_mode="NONE"))
