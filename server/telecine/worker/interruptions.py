"""Why the work on a video may stop before its end without having failed."""

from telecine.jobs.job_types import Directive


class VideoCancelled(Exception):  # noqa: N818 - a client's wish, not an error
    """A client cancelled the video."""


class HandBack(Exception):  # noqa: N818 - another worker, or this one later, goes on
    """The video goes back to the queue and keeps its checkpoint; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def obey(directive: Directive) -> None:
    """Raises VideoCancelled where a write's answer says that a client cancelled the video."""
    if directive.is_cancelled:
        raise VideoCancelled
