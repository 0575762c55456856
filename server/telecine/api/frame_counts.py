"""Lengths in seconds as frames, and back, by integers: no rounding decides a tie."""

from google.protobuf.duration_pb2 import Duration

_NANOS = 1_000_000_000


def frames_of(duration: Duration, fps: int, *, multiple: int) -> int:
    """Returns the frames of a video of about `duration`.

    That is the number of the form `multiple` x k + 1 nearest to duration x fps, the larger
    one of two equally near, and at least 1.
    """
    # floor((frames - 1) / multiple + 1/2), in integers
    k = (2 * (_nano_frames(duration, fps) - _NANOS) + multiple * _NANOS) // (2 * multiple * _NANOS)
    return multiple * max(k, 0) + 1


def nearest_multiple(duration: Duration, fps: int, multiple: int) -> int:
    """Returns the multiple nearest to duration x fps, at least one."""
    step = multiple * _NANOS
    return multiple * max(1, (2 * _nano_frames(duration, fps) + step) // (2 * step))


def at_most(num_frames: int, multiple: int) -> int:
    """Returns the largest number of the form multiple x k + 1 that is not more."""
    return (max(num_frames, 1) - 1) // multiple * multiple + 1


def duration_of(num_frames: int, fps: int) -> Duration:
    """Returns how long so many frames last."""
    seconds, nanos = divmod(num_frames * _NANOS // fps, _NANOS)
    return Duration(seconds=seconds, nanos=nanos)


def _nano_frames(duration: Duration, fps: int) -> int:
    return (duration.seconds * _NANOS + duration.nanos) * fps
