"""Lip sync on rendered truth: faces and balls whose sound is moved by what is known."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from speaking_face import (
    SAMPLE_RATE,
    draw_bounces,
    draw_face,
    random_syllables,
    speak,
    thump,
)

from telecine.media.lip_sync import LipSync, as_json, measure, shift
from telecine.media.picture_signals import SmallPictures
from telecine.media.sound import Sound, resample
from telecine.media.transcoder import Frames
from telecine.media.voice import Viseme

SURE = 0.5
# Frames, and frames a second.
CLIPS = [(17, 8), (33, 16), (49, 24), (96, 24)]


def spoil(frames: Frames, seed: int) -> Frames:
    """Frames as a decoder of latents gives them: soft, and not quite still."""
    soft = frames.astype(np.float32)
    soft = (soft + sum(np.roll(soft, step, axis) for step in (-1, 1) for axis in (1, 2))) / 5
    noise = np.random.default_rng(seed).normal(0, 6, soft.shape)
    return np.clip(soft + noise, 0, 255).astype(np.uint8)


def with_noise(sound: Sound, seed: int) -> Sound:
    """The sound with noise of a third of its loudness."""
    loudness = float(np.sqrt((sound.samples**2).mean()))
    noise = np.random.default_rng(seed).normal(0, loudness / 3, sound.samples.shape)
    return Sound((sound.samples + noise).astype(np.float32), sound.sample_rate)


def known_shift(seed: int) -> float:
    """A shift of whole samples, up to 0.4 s either way."""
    drawn = np.random.default_rng(1000 + seed).uniform(-0.4, 0.4)
    return round(float(drawn) * SAMPLE_RATE) / SAMPLE_RATE


@pytest.mark.parametrize("look", ["exact", "spoilt"])
@pytest.mark.parametrize(("num_frames", "fps"), CLIPS)
def test_offset_of_a_voice_is_found_within_20_milliseconds(
    num_frames: int, fps: int, look: str
) -> None:
    errors, num_sure = [], 0
    for seed in range(12):
        syllables = random_syllables(num_frames / fps, seed)
        frames, sound = draw_face(syllables, num_frames, fps), speak(syllables, num_frames / fps)
        if look == "spoilt":
            frames, sound = spoil(frames, seed), with_noise(sound, seed)
        found = measure(frames, shift(sound, known_shift(seed)), fps)
        assert found.source == "mouth"
        errors.append(abs(found.offset_seconds - known_shift(seed)))
        num_sure += found.confidence > SURE
    assert np.quantile(errors, 0.95) < 0.02
    assert num_sure >= 11


@pytest.mark.parametrize(("num_frames", "fps"), [(49, 16), (73, 24)])
def test_offset_of_impacts_is_found_within_20_milliseconds(num_frames: int, fps: int) -> None:
    errors = []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        contacts = 0.4 + np.cumsum([0, *generator.uniform(0.5, 1.0, 3)])
        frames = spoil(draw_bounces(contacts, num_frames, fps), seed)
        sound = thump(contacts, num_frames / fps)
        found = measure(frames, shift(sound, known_shift(seed) / 2), fps)
        assert found.source == "impacts"
        if found.confidence > SURE:
            errors.append(abs(found.offset_seconds - known_shift(seed) / 2))
    assert np.quantile(errors, 0.95) < 0.02
    assert len(errors) >= 9


def hum(seconds: float) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * 200 * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


@pytest.mark.parametrize(("num_frames", "fps"), [(49, 24), (240, 24)])
def test_there_is_no_confidence_in_sound_that_has_nothing_to_do_with_it(
    num_frames: int, fps: int
) -> None:
    seconds = num_frames / fps
    for seed in range(5):
        generator = np.random.default_rng(seed)
        frames = draw_face(random_syllables(seconds, seed), num_frames, fps)
        size = round(seconds * SAMPLE_RATE)
        for samples in (
            np.zeros(size),
            generator.normal(0, 0.2, size),
            0.3 * hum(seconds),
            0.3 * hum(seconds) * np.linspace(0, 1, size),
        ):
            found = measure(frames, Sound(samples.astype(np.float32)[None], SAMPLE_RATE), fps)
            assert found.confidence < 0.1
            assert found.offset_seconds == 0 or found.confidence > 0


def test_ten_seconds_of_another_voice_are_not_taken_for_this_one() -> None:
    for seed in range(5):
        frames = draw_face(random_syllables(10, seed), 240, 24)
        assert measure(frames, speak(random_syllables(10, 100 + seed), 10), 24).confidence < 0.1


def test_without_a_face_or_a_ball_nothing_is_said() -> None:
    sound = speak(random_syllables(2, 0), 2)
    still = draw_face(random_syllables(2, 0), 48, 24)[:1].repeat(48, axis=0)
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 64, 3), np.uint8)
    for frames in (still, noise, still[:1]):
        assert measure(frames, sound, 24).confidence == 0


def test_a_ball_that_turns_slowly_at_its_lowest_point_hits_nothing() -> None:
    times = np.arange(96) / 24
    frames = np.full((96, 64, 64, 3), 250, np.uint8)
    rows, columns = np.mgrid[:64, :64]
    for frame, angle in zip(frames, 2 * np.pi * times, strict=True):
        frame[np.hypot(rows - 32 - 15 * np.sin(angle), columns - 32 - 15 * np.cos(angle)) < 8] = 30
    assert measure(frames, thump(np.array([0.25, 1.25, 2.25, 3.25]), 4), 24).source == "none"


def test_large_pictures_in_chunks_are_measured_as_small_ones_are() -> None:
    syllables = random_syllables(2, 3)
    frames, sound = draw_face(syllables, 48, 24, side=256), shift(speak(syllables, 2), 0.1)
    pictures = SmallPictures()
    for chunk in np.split(frames, 6):
        pictures.add(chunk)
    assert pictures.frames.shape == (48, 128, 128, 3)
    found = measure(pictures, resample(sound, 44_100), 24)
    assert found.offset_seconds == pytest.approx(0.1, abs=0.01)
    assert found.confidence > SURE


@pytest.mark.parametrize("seconds", [0.25, -0.25, 0.0, 3.0, -3.0])
def test_a_shifted_sound_is_as_long_and_later_by_that(seconds: float) -> None:
    sound = speak(random_syllables(2, 0), 2)
    shifted = shift(sound, seconds)
    assert shifted.samples.shape == sound.samples.shape
    places = round(seconds * SAMPLE_RATE)
    expected = np.roll(sound.samples, places, axis=1)
    if abs(places) >= 2 * SAMPLE_RATE:
        expected[:] = 0
    else:
        expected[:, slice(None, places) if places > 0 else slice(32_000 + places, None)] = 0
    assert (shifted.samples == expected).all()


def test_what_was_measured_is_json() -> None:
    written = as_json(LipSync(0.0412345, 0.98765, "mouth"), [Viseme(0.0, 0.12, "rest")])
    assert json.loads(written) == {
        "offset_seconds": 0.0412,
        "confidence": 0.9877,
        "source": "mouth",
        "visemes": [{"start_seconds": 0.0, "end_seconds": 0.12, "name": "rest"}],
    }
