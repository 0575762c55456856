"""A face's mouth is as open as its voice is loud."""

import pytest
import torch
from torch import Tensor

from train.face import FACE, VOWELS
from train.face_judge import judge_face
from train.judge import Frames
from train.world import BACKGROUNDS, COLOURS, Clip, Scene, caption, random_clip, random_face, render
from train.world_sound import SAMPLE_RATE, render_sound, sound_events

FPS, NUM_FRAMES = 24, 49


def _clip(vowel: str, seed: int = 0) -> Clip:
    scene = Scene("yellow", FACE, vowel, "navy")
    return random_clip(scene, NUM_FRAMES, torch.Generator().manual_seed(seed))


def _dark_pixels_below_the_nose(clip: Clip) -> Tensor:
    centre = round(float(clip.centres[0, 1]) * 128)
    red = render([clip], 128)[0, 0]
    left, right = (
        round(float(clip.centres[0, 0] + side * 0.6 * clip.radii[0]) * 128) for side in (-1, 1)
    )
    lower = red[:, centre : centre + round(0.75 * float(clip.radii[0]) * 128), left:right]
    return (lower < 0).sum((1, 2)).float()


def _loudness(clip: Clip) -> Tensor:
    """Of each frame's time."""
    sound = render_sound(clip, FPS)
    step = SAMPLE_RATE // FPS
    return sound[: NUM_FRAMES * step].unflatten(0, (NUM_FRAMES, step)).square().mean(1).sqrt()


@pytest.mark.parametrize("vowel", VOWELS)
def test_mouth_is_as_open_as_the_voice_is_loud(vowel: str) -> None:
    clip = _clip(vowel)
    mouth, loudness = _dark_pixels_below_the_nose(clip), _loudness(clip)
    together = torch.corrcoef(torch.stack((mouth, loudness)))[0, 1].abs()
    # An "oo" rounds the lips: its mouth is open yet small.
    assert float(together) > (0.4 if vowel == "oo" else 0.85)


@pytest.mark.parametrize("seed", range(10))
def test_a_face_says_some_syllables_with_silence_between(seed: int) -> None:
    clip = _clip("ah", seed)
    sound = render_sound(clip, FPS)
    events = sound_events(clip, FPS)
    assert 3 <= len(events) <= 6
    for event in events:
        first = round(event * SAMPLE_RATE)
        assert float(sound[first - 320 : first].abs().max()) < 1e-3
        assert float(sound[first + 480 : first + 1600].abs().max()) > 0.2


@pytest.mark.parametrize("vowel", VOWELS)
@pytest.mark.parametrize("seed", range(6))
def test_a_voice_stays_within_range(vowel: str, seed: int) -> None:
    assert float(render_sound(_clip(vowel, seed), FPS).abs().max()) < 1.0


def _frames(clip: Clip) -> Frames:
    video = render([clip], 128)[0]
    frames: Frames = ((video.permute(1, 2, 3, 0) + 1) * 127.5).round().byte().numpy()
    return frames


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("vowel", VOWELS)
def test_judge_reads_the_face_and_each_opening(vowel: str, background: str) -> None:
    for seed, colour in enumerate(COLOURS):
        scene = Scene(colour, FACE, vowel, background)
        clip = random_clip(scene, NUM_FRAMES, torch.Generator().manual_seed(seed))
        seen = judge_face(_frames(clip))
        assert seen.scene == scene
        starts = [syllable.start for syllable in clip.syllables]
        assert seen.openings == pytest.approx(starts, abs=1.0)


def test_judge_reads_a_blank_clip_as_a_mouth_that_stays_shut() -> None:
    blank = torch.zeros(NUM_FRAMES, 128, 128, 3, dtype=torch.uint8).numpy()
    assert judge_face(blank).openings == ()


def test_caption_says_that_a_face_says_the_vowel() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = random_face(generator)
    words = set(caption(scene, generator).replace(",", "").replace(":", "").split())
    assert {scene.colour, "face", scene.motion, scene.background} <= words


def test_a_part_of_a_clip_shows_what_the_whole_shows_then() -> None:
    clip = _clip("ah")
    whole, part = render([clip], 64), render([clip.part(7, 20)], 64)
    torch.testing.assert_close(part, whole[:, :, 7:20])
