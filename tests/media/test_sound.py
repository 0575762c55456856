"""Sound: its length to the sample, its rate, its limits."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from telecine.media.sound import Sound, fit, num_samples, resample


def noise(seconds: float, sample_rate: int, *, num_channels: int = 1) -> Sound:
    generator = np.random.default_rng(0)
    shape = (num_channels, round(seconds * sample_rate))
    return Sound(generator.uniform(-0.5, 0.5, shape).astype(np.float32), sample_rate)


def centre_seconds(sound: Sound) -> float:
    """The moment around which the sound's energy lies."""
    energy = (sound.samples.astype(np.float64) ** 2).sum(axis=0)
    return float((np.arange(energy.size) * energy).sum() / energy.sum() / sound.sample_rate)


@pytest.mark.parametrize(
    ("num_frames", "fps", "expected"),
    [(49, 24, 32667), (17, 8, 34000), (1, 23, 696), (0, 8, 0), (30, Fraction(30000, 1001), 16016)],
)
def test_frames_are_so_many_samples(num_frames: int, fps: Fraction | int, expected: int) -> None:
    assert num_samples(num_frames, fps, 16_000) == expected


def test_a_sound_of_the_right_length_stays_as_it_is() -> None:
    sound = noise(2, 16_000)
    assert fit(sound, 16, 8) is sound


def test_a_shorter_sound_is_followed_by_silence() -> None:
    sound = noise(1, 16_000, num_channels=2)
    fitted = fit(sound, 16, 8)
    assert fitted.samples.shape == (2, 32_000)
    assert (fitted.samples[:, :16_000] == sound.samples).all()
    assert not fitted.samples[:, 16_000:].any()


def test_a_longer_sound_is_cut_and_fades_for_ten_milliseconds() -> None:
    sound = noise(3, 16_000)
    fitted = fit(sound, 16, 8).samples
    assert fitted.shape == (1, 32_000)
    assert (fitted[:, :-160] == sound.samples[:, : 32_000 - 160]).all()
    assert (np.abs(fitted[:, -160:]) <= np.abs(sound.samples[:, 32_000 - 160 : 32_000])).all()
    assert fitted[0, -1] == 0


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16_000, 22_050, 24_000, 44_100, 192_000])
def test_nothing_moves_when_the_rate_changes(sample_rate: int) -> None:
    click: NDArray[np.float32] = np.zeros((1, 2 * sample_rate), np.float32)
    click[:, sample_rate : sample_rate + sample_rate // 1000] = 0.5
    sound = Sound(click, sample_rate)
    resampled = resample(sound, 48_000)
    assert resampled.sample_rate == 48_000
    assert resampled.samples.shape == (1, 96_000)
    assert centre_seconds(resampled) == pytest.approx(centre_seconds(sound), abs=1e-5)


@pytest.mark.parametrize(
    ("samples", "sample_rate", "message"),
    [
        (np.zeros(100, np.float32), 16_000, r"\[1 or 2, samples\] float32, not \(100,\)"),
        (np.zeros((3, 100), np.float32), 16_000, r"not \(3, 100\)"),
        (np.zeros((1, 100)), 16_000, "float64"),
        (np.zeros((1, 100), np.float32), 7999, "7999 samples a second are not from 8000"),
        (np.full((1, 100), np.nan, np.float32), 16_000, "no numbers"),
    ],
)
def test_what_is_no_sound_is_refused(
    samples: NDArray[np.float32], sample_rate: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Sound(samples, sample_rate)
