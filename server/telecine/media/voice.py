"""What is heard in a sound: how loud it is, where a voice is, and what a mouth does to say it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from telecine.media.sound import Sound

ENVELOPE_RATE = 200
"""Values a second of an envelope; value k is of the moment (k + 0.5) / 200 s."""
_VOICE_WINDOW = np.hanning(11)[1:-1]  # 45 ms: longer than a period of a deep voice
_ONSET_WINDOW = np.hanning(5)[1:-1]
# Of the loudest moment: a voice begins above the first and goes on down to the second.
VOICED_FROM, VOICED_TO = 0.2, 0.08
_SHORTEST_SECONDS = 0.04
# Quieter than that is silence, whatever the rest of the sound is.
_SILENCE = 10 ** (-60 / 20)
_VISEME_SECONDS = 0.02
_SPECTRUM_SECONDS = 0.04
_HIGHEST_HERTZ = 8000

Signal = NDArray[np.float64]


class Segment(NamedTuple):
    """A part of a sound, or of a picture's movement, in seconds."""

    start: float
    end: float


class Viseme(NamedTuple):
    """A shape of the mouth: see VISEMES."""

    start: float
    end: float
    name: str


VISEMES = {
    "rest": "closed: nothing is said",
    "oo": "a small round opening, as in boot",
    "oh": "a larger round opening, as in boat",
    "aa": "wide open, as in father",
    "ee": "spread, as in see",
    "ss": "the teeth together, as in sea",
}
"""The shapes of the mouth that are told apart."""

# By the spectrum's centre in Hz: high is spread. What is not is told by the centre as it is heard,
# in octaves.
_SPREAD_FROM, _TEETH_FROM = 1250.0, 3200.0
_ROUND_UNTIL, _LARGER_UNTIL = 700.0, 860.0
_LOWEST_HERTZ = 60.0


def envelope(sound: Sound) -> Signal:
    """Returns how loud a sound is (RMS), ENVELOPE_RATE values a second."""
    return np.sqrt(_smoothed_power(sound, _VOICE_WINDOW))


def onsets(sound: Sound) -> Signal:
    """Returns how suddenly it becomes louder, ENVELOPE_RATE values a second, none negative."""
    loudness = np.sqrt(_smoothed_power(sound, _ONSET_WINDOW))
    if loudness.max(initial=0) < _SILENCE:
        return np.zeros_like(loudness)
    # Two values apart, so that a rise stands in the middle of it.
    rises = np.convolve(loudness, [1, 0, -1], mode="same")
    rises[[0, -1]] = 0
    return np.clip(rises, 0, None)


def voiced_segments(sound: Sound) -> list[Segment]:
    """Returns the parts of a sound that are not silence, in order."""
    loudness = envelope(sound)
    loudest = loudness.max(initial=0)
    if loudest < _SILENCE:
        return []
    return segments_of(loudness / loudest, ENVELOPE_RATE, above=VOICED_FROM, until=VOICED_TO)


def segments_of(
    signal: Signal, rate: float, *, above: float, until: float, shortest: float = _SHORTEST_SECONDS
) -> list[Segment]:
    """Returns where a signal rises over `above`, each as far as it stays over `until`."""
    is_on = np.concatenate([[False], signal > until, [False]])
    edges = np.flatnonzero(np.diff(is_on.astype(np.int8)))
    segments = zip(edges[::2], edges[1::2], strict=True)
    return [
        Segment(float(start / rate), float(end / rate))
        for start, end in segments
        if signal[start:end].max() > above and (end - start) / rate >= shortest
    ]


def visemes(sound: Sound) -> list[Viseme]:
    """Returns the shapes of a mouth that says the sound, one after another, from its beginning.

    A shape is told by loudness (`rest`) and by where the spectrum has its centre.
    """
    mono = sound.samples.mean(axis=0)
    step = max(1, round(_VISEME_SECONDS * sound.sample_rate))
    num_steps = -(-mono.size // step)
    names = _names(mono, sound.sample_rate, step=step, num_steps=num_steps)
    runs: list[Viseme] = []
    for number, name in enumerate(names):
        start, end = number * step, min(mono.size, (number + 1) * step)
        seconds = start / sound.sample_rate, end / sound.sample_rate
        if runs and runs[-1].name == name:
            runs[-1] = Viseme(runs[-1].start, seconds[1], name)
        else:
            runs.append(Viseme(*seconds, name))
    return runs


def _names(mono: NDArray[np.float32], sample_rate: int, *, step: int, num_steps: int) -> list[str]:
    length = max(step, round(_SPECTRUM_SECONDS * sample_rate))
    window = np.hanning(length)
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    is_heard = (frequencies >= _LOWEST_HERTZ) & (frequencies <= _HIGHEST_HERTZ)
    frequencies = frequencies[is_heard]
    padded = np.pad(mono, (length // 2, length + step))
    powers = np.zeros((num_steps, frequencies.size))
    for number in range(num_steps):
        start = number * step + step // 2
        spectrum = np.fft.rfft(padded[start : start + length] * window)[is_heard]
        powers[number] = np.abs(spectrum) ** 2
    amplitudes = np.sqrt(powers.sum(axis=1)) / window.sum()
    floor = max(VOICED_FROM / 2 * amplitudes.max(initial=0), _SILENCE / 2)
    named = [
        "rest" if amplitude < floor else _name_of(power, frequencies)
        for amplitude, power in zip(amplitudes, powers, strict=True)
    ]
    return _without_flicker(named)


def _name_of(power: Signal, frequencies: Signal) -> str:
    share = power / power.sum()
    centre = float(frequencies @ share)
    if centre >= _SPREAD_FROM:
        return "ss" if centre >= _TEETH_FROM else "ee"
    heard_centre = float(np.exp(np.log(frequencies) @ share))
    if heard_centre < _ROUND_UNTIL:
        return "oo"
    return "oh" if heard_centre < _LARGER_UNTIL else "aa"


def _without_flicker(names: list[str]) -> list[str]:
    """Gives a shape that lasts for one step alone that of the step before it."""
    steady = list(names)
    for number in range(1, len(names) - 1):
        if names[number] not in {names[number + 1], steady[number - 1]}:
            steady[number] = steady[number - 1]
    return steady


def _smoothed_power(sound: Sound, window: Signal) -> Signal:
    power = (sound.samples.astype(np.float64) ** 2).mean(axis=0)
    num_values = -(-power.size * ENVELOPE_RATE // sound.sample_rate)
    if not num_values:
        return np.zeros(0)
    edges = np.round(np.arange(num_values + 1) * sound.sample_rate / ENVELOPE_RATE).astype(int)
    edges = np.minimum(edges, power.size)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(power)])[edges])
    blocks = sums / np.maximum(np.diff(edges), 1)
    return np.clip(np.convolve(blocks, window / window.sum(), mode="same")[:num_values], 0, None)
