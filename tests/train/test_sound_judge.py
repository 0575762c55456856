"""The sound's judge names rendered truth, and tells a late or a wrong sound from it."""

import numpy as np
import pytest
import torch

from train.face import FACE, VOWELS
from train.judge import Frames, contacts
from train.sound_judge import SAMPLE_RATE, Waveform, hear
from train.sound_score import judge_sound, summary
from train.world import MOTIONS, SHAPES, Clip, Scene, random_clip, render
from train.world_sound import render_sound, sound_events

FPS, NUM_FRAMES = 16, 33


def _clip(shape: str, motion: str, seed: int) -> Clip:
    scene = Scene("red", shape, motion, "white")
    return random_clip(scene, NUM_FRAMES, torch.Generator().manual_seed(seed))


def _sound(clip: Clip) -> Waveform:
    waveform: Waveform = render_sound(clip, FPS).numpy()
    return waveform


def _frames(clip: Clip) -> Frames:
    video = render([clip], 128)[0]
    frames: Frames = ((video.permute(1, 2, 3, 0) + 1) * 127.5).round().byte().numpy()
    return frames


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_judge_hears_the_shape_and_each_event(shape: str, motion: str) -> None:
    for seed in range(4):
        clip = _clip(shape, motion, seed)
        heard = hear(_sound(clip))
        assert heard.timbre == shape
        assert heard.onsets == pytest.approx(sound_events(clip, FPS), abs=0.005)


@pytest.mark.parametrize("vowel", VOWELS)
def test_judge_hears_the_vowel_and_each_syllable(vowel: str) -> None:
    for seed in range(6):
        clip = _clip(FACE, vowel, seed)
        heard = hear(_sound(clip))
        assert heard.timbre == vowel
        assert heard.onsets == pytest.approx(sound_events(clip, FPS), abs=0.03)


@pytest.mark.parametrize("gain", [0.2, 1.0])
def test_loudness_alone_changes_nothing(gain: float) -> None:
    sound = _sound(_clip("square", "bounce", 3))
    heard = hear(gain * sound)
    assert heard.timbre == "square"
    assert heard.onsets == pytest.approx(hear(sound).onsets)


def test_noise_below_hearing_is_silent() -> None:
    noise = np.random.default_rng(0).normal(0, 0.003, SAMPLE_RATE).astype(np.float32)
    assert hear(noise).is_silent
    assert hear(np.zeros(0, np.float32)).is_silent


@pytest.mark.parametrize("seed", range(8))
def test_contacts_are_seen_to_a_twentieth_of_a_frame(seed: int) -> None:
    clip = _clip(SHAPES[seed % 4], "bounce", seed)
    inner = [moment for moment in clip.contacts if 3.5 < moment < NUM_FRAMES - 4.5]
    seen = contacts(_frames(clip))
    assert len(inner) <= len(seen) <= len(clip.contacts)
    for moment in seen:
        assert min(abs(moment - contact) for contact in clip.contacts) < 0.05


def test_truth_has_every_event_sounded_at_its_moment() -> None:
    clips = [_clip(shape, motion, 5) for shape in SHAPES for motion in ("bounce", "orbit")]
    clips += [_clip(FACE, vowel, 5) for vowel in VOWELS]
    figures = summary([judge_sound(clip.scene, _frames(clip), _sound(clip), FPS) for clip in clips])
    assert figures["median gap, ms"] < 20
    assert figures["95th percentile of gaps, ms"] < 40
    assert figures["all events sounded"] == figures["timbre"] == 1.0
    assert figures["no onset without an event"] == 1.0


def test_a_late_sound_is_as_far_off_as_it_is_late() -> None:
    clip = _clip("star", "bounce", 2)
    late = np.concatenate((np.zeros(1600, np.float32), _sound(clip)))[:33_000]
    verdict = judge_sound(clip.scene, _frames(clip), late, FPS)
    assert verdict.gaps == pytest.approx([0.1] * len(verdict.gaps), abs=0.005)
    assert verdict.has_all_sounded


def test_silence_sounds_no_event() -> None:
    clip = _clip("star", "bounce", 2)
    verdict = judge_sound(clip.scene, _frames(clip), np.zeros(33_000, np.float32), FPS)
    assert not verdict.has_all_sounded
    assert not verdict.has_timbre
    assert summary([verdict])["median gap, ms"] == pytest.approx(1000 * NUM_FRAMES / FPS)


def test_thumps_of_another_clip_are_not_taken_for_this_one() -> None:
    clip, other = _clip("star", "bounce", 2), _clip("star", "bounce", 4)
    verdict = judge_sound(clip.scene, _frames(clip), _sound(other), FPS)
    assert max(verdict.gaps) > 0.1
