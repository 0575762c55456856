"""A sound is moved to its picture: as a whole, or each segment to its movement."""

import numpy as np
import pytest
from speaking_face import (
    SAMPLE_RATE,
    Syllables,
    draw_bounces,
    draw_face,
    random_syllables,
    speak,
    thump,
)

from telecine.media.lip_sync import shift
from telecine.media.post_sync import align
from telecine.media.sound import Sound
from telecine.media.voice import voiced_segments


def middles(sound: Sound) -> list[float]:
    return [(segment.start + segment.end) / 2 for segment in voiced_segments(sound)]


def starts(sound: Sound) -> list[float]:
    return [segment.start for segment in voiced_segments(sound)]


@pytest.mark.parametrize("seconds", [0.3, -0.22])
def test_a_late_or_early_voice_is_moved_as_a_whole(seconds: float) -> None:
    syllables = random_syllables(3, 1)
    frames, sound = draw_face(syllables, 72, 24), speak(syllables, 3)
    moved, found = align(frames, shift(sound, seconds), 24)
    assert abs(found.offset_seconds) < 0.005
    assert found.confidence > 0.9
    # All of it is at its place again, but for what a shift had cut.
    kept = slice(SAMPLE_RATE // 2, -SAMPLE_RATE // 2)
    assert np.abs(moved.samples[:, kept] - sound.samples[:, kept]).max() < 0.25


@pytest.mark.parametrize(("fps", "limit_seconds"), [(8, 0.06), (24, 0.02)])
def test_each_syllable_is_moved_to_its_mouth_movement(fps: int, limit_seconds: float) -> None:
    errors = []
    for seed in range(5):
        syllables = random_syllables(3, seed)
        generator = np.random.default_rng(seed)
        late = generator.uniform(-0.15, 0.15) + generator.uniform(
            -0.04, 0.04, len(syllables.middles)
        )
        sound = speak(Syllables(syllables.middles + late, syllables.lengths), 3)
        moved, found = align(draw_face(syllables, 3 * fps, fps), sound, fps)
        assert moved.samples.shape == sound.samples.shape
        assert found.confidence > 0.5
        errors += [min(abs(syllables.middles - middle)) for middle in middles(moved)]
    assert np.quantile(errors, 0.95) < limit_seconds


def test_each_thump_is_moved_to_its_impact() -> None:
    contacts = np.array([0.5, 1.3, 1.9, 2.6])
    late = np.array([0.1, 0.06, 0.12, 0.05])
    frames = draw_bounces(contacts, 72, 24)
    moved, found = align(frames, thump(contacts + late, 3), 24)
    assert found.source == "impacts"
    assert starts(moved) == pytest.approx(contacts, abs=0.03)


def test_a_sound_at_its_place_stays_as_it_is() -> None:
    syllables = random_syllables(3, 2)
    sound = speak(syllables, 3)
    moved, found = align(draw_face(syllables, 72, 24), sound, 24)
    assert moved is sound
    assert found.confidence > 0.9


def test_where_nothing_is_seen_the_sound_stays_as_it_is() -> None:
    sound = speak(random_syllables(3, 2), 3)
    moved, found = align(np.zeros((72, 64, 64, 3), np.uint8), sound, 24)
    assert moved is sound
    assert found.source == "none"


def test_silence_and_a_hum_stay_as_they_are() -> None:
    frames = draw_face(random_syllables(3, 2), 72, 24)
    hum = 0.3 * np.sin(2 * np.pi * 200 * np.arange(48_000) / SAMPLE_RATE)
    for samples in (np.zeros(48_000), hum):
        sound = Sound(samples.astype(np.float32)[None], SAMPLE_RATE)
        assert align(frames, sound, 24)[0] is sound
