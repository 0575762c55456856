"""How far a video is, and how long the rest will take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

# Weight of the newest step: a step that is slow once does not swing the estimate.
_SMOOTHING = 0.3


def choose_preview_steps(num_steps: int, num_previews: int) -> tuple[int, ...]:
    """Returns the steps, 1 for the first, whose estimate is shown: evenly spread, the last one too.

    A video of fewer steps than previews shows every step.
    """
    count = min(num_steps, num_previews)
    return tuple(round((k + 1) * num_steps / count) for k in range(count))


class TailEstimate:
    """How long decoding, encoding and storing took, learnt from the videos before.

    Counted for each pixel of each frame; nothing is assumed before the first video.
    """

    def __init__(self) -> None:
        self._seconds_per_pixel = 0.0

    def learn(self, seconds: float, *, num_pixels: int) -> None:
        """Takes in a finished video."""
        observed = seconds / num_pixels
        known = self._seconds_per_pixel
        self._seconds_per_pixel = observed if known == 0 else known + 0.5 * (observed - known)

    def predict(self, num_pixels: int) -> float:
        """Returns the seconds that a video of `num_pixels` will take after its last step."""
        return self._seconds_per_pixel * num_pixels


@dataclass(frozen=True)
class Progress:
    """Where denoising is: seconds since it began here, and until the video is done."""

    elapsed_seconds: float
    eta_seconds: float


class ProgressManager:
    """Estimates when one video will be done, from the steps the device has finished."""

    def __init__(
        self,
        num_steps: int,
        *,
        tail_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._num_steps = num_steps
        self._tail_seconds = tail_seconds
        self._clock = clock
        self._start = clock()
        self._step_seconds: float | None = None

    def finish_step(self, step_index: int, *, step_seconds: float) -> Progress:
        """Takes in a finished step, 1 for the first, that took `step_seconds` on the device."""
        known = self._step_seconds
        self._step_seconds = (
            step_seconds if known is None else known + _SMOOTHING * (step_seconds - known)
        )
        num_left = self._num_steps - step_index
        return Progress(
            elapsed_seconds=self._clock() - self._start,
            eta_seconds=num_left * self._step_seconds + self._tail_seconds,
        )
