"""What is heard: segments of a voice, and the shapes of the mouth that says it."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from speaking_face import FORMANTS, SAMPLE_RATE, Syllables, speak

from telecine.media.sound import Sound
from telecine.media.voice import VISEMES, envelope, visemes, voiced_segments

SYLLABLES = Syllables(np.array([0.5, 1.0, 1.6]), np.array([0.3, 0.2, 0.4]))


def sound_of(samples: NDArray[np.float64], sample_rate: int = SAMPLE_RATE) -> Sound:
    return Sound(samples.astype(np.float32)[None], sample_rate)


def test_envelope_has_two_hundred_values_a_second_at_every_rate() -> None:
    for sample_rate in (8000, 11_025, 22_050, 44_100, 48_000):
        loudness = envelope(sound_of(np.full(2 * sample_rate, 0.5), sample_rate))
        assert len(loudness) == 400
        assert loudness[20:-20] == pytest.approx(0.5)


def test_each_syllable_is_a_segment_around_its_middle() -> None:
    segments = voiced_segments(speak(SYLLABLES, 2))
    assert len(segments) == 3
    middles = [(segment.start + segment.end) / 2 for segment in segments]
    assert middles == pytest.approx(SYLLABLES.middles, abs=0.015)


def test_silence_has_no_segments_and_rests() -> None:
    silence = sound_of(np.zeros(SAMPLE_RATE))
    assert voiced_segments(silence) == []
    assert visemes(silence) == [(0.0, 1.0, "rest")]
    assert visemes(sound_of(np.zeros(0))) == []


@pytest.mark.parametrize("vowel", FORMANTS)
@pytest.mark.parametrize("pitch", [125, 160, 200])
def test_each_vowel_has_its_shape(vowel: str, pitch: int) -> None:
    shapes = visemes(speak(SYLLABLES, 2, vowel=vowel, pitch=pitch))
    assert [shape.name for shape in shapes] == ["rest", vowel] * 3 + ["rest"]
    for shape, middle in zip(shapes[1::2], SYLLABLES.middles, strict=True):
        assert shape.start < middle < shape.end


def test_a_hiss_is_said_with_the_teeth_together() -> None:
    white = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE)
    hiss = np.diff(white, prepend=0)  # higher frequencies are louder
    assert {shape.name for shape in visemes(sound_of(hiss))} == {"ss"}


def test_shapes_follow_each_other_from_the_beginning_to_the_end() -> None:
    shapes = visemes(speak(SYLLABLES, 2, vowel="oo"))
    assert (shapes[0].start, shapes[-1].end) == (0.0, 2.0)
    assert all(one.end == other.start for one, other in pairwise(shapes))
    assert all(shape.name in VISEMES for shape in shapes)
