"""Sound as plain numbers, and exactly as long as the pictures that it goes with."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""A waveform [channels, samples], -1 to 1."""

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_CHANNELS = 2
FADE_SECONDS = 0.01  # at a cut, which would click


@dataclass(frozen=True)
class Sound:
    """A waveform and how many samples of it are a second. Its first sample is moment 0.

    Raises:
        ValueError: it is of another shape or type, or beyond the limits.
    """

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        shape, dtype = self.samples.shape, self.samples.dtype
        if len(shape) != 2 or not 1 <= shape[0] <= MAX_CHANNELS or dtype != np.float32:
            raise ValueError(f"sound must be [1 or 2, samples] float32, not {shape} {dtype}")
        if not MIN_SAMPLE_RATE <= self.sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(
                f"{self.sample_rate} samples a second are not from {MIN_SAMPLE_RATE} to "
                f"{MAX_SAMPLE_RATE}"
            )
        if not np.isfinite(self.samples).all():
            raise ValueError("sound has samples that are no numbers")

    @property
    def num_channels(self) -> int:
        """How many channels it has: 1, or 2 for left and right."""
        return self.samples.shape[0]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples.shape[1] / self.sample_rate


def num_samples(num_frames: int, fps: Fraction | int, sample_rate: int) -> int:
    """Returns how many samples are as long as so many frames."""
    return round(Fraction(num_frames * sample_rate) / Fraction(fps))


def fit(sound: Sound, num_frames: int, fps: Fraction | int) -> Sound:
    """Returns the sound exactly as long as a video.

    A longer one is faded out and cut, a shorter one is followed by silence.
    """
    wanted = num_samples(num_frames, fps, sound.sample_rate)
    given = sound.samples.shape[1]
    if given == wanted:
        return sound
    fitted = np.zeros((sound.num_channels, wanted), np.float32)
    fitted[:, : min(given, wanted)] = sound.samples[:, :wanted]
    if given > wanted:
        length = min(wanted, round(FADE_SECONDS * sound.sample_rate))
        fitted[:, wanted - length :] *= np.linspace(1, 0, length, dtype=np.float32)
    return Sound(fitted, sound.sample_rate)


def resample(sound: Sound, sample_rate: int) -> Sound:
    """Returns the sound at another rate; nothing of it moves in time."""
    if sound.sample_rate == sample_rate or not sound.samples.shape[1]:
        return Sound(sound.samples, sample_rate)
    layout = layout_of(sound)
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=sample_rate)
    pieces = [
        piece.to_ndarray()
        for frame in (to_audio_frame(sound, 0, sound.samples.shape[1]), None)
        for piece in resampler.resample(frame)
    ]
    return Sound(np.concatenate(pieces, axis=1, dtype=np.float32), sample_rate)


def mono(sound: Sound) -> Sound:
    """Returns the sound in one channel, the mean of those that it has."""
    return Sound(sound.samples.mean(axis=0, keepdims=True), sound.sample_rate)


def layout_of(sound: Sound) -> str:
    """Returns what FFmpeg calls the sound's channels."""
    return "mono" if sound.num_channels == 1 else "stereo"


def to_audio_frame(sound: Sound, start: int, end: int) -> av.AudioFrame:
    """Returns some of the samples as FFmpeg takes them."""
    samples = np.ascontiguousarray(sound.samples[:, start:end])
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout_of(sound))
    frame.sample_rate = sound.sample_rate
    frame.time_base = Fraction(1, sound.sample_rate)
    frame.pts = start
    return frame
