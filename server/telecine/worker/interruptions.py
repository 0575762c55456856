"""Why the work on a video may stop before its end without having failed."""

from telecine.jobs.job_types import Directive


class VideoCancelled(Exception):  # noqa: N818 - a client's wish, not an error
    """A client cancelled the video."""


class VideoPaused(Exception):  # noqa: N818 - a client's wish, not an error
    """A client wants the video set aside; it keeps its checkpoint."""


class HandBack(Exception):  # noqa: N818 - another worker, or this one later, goes on
    """The video goes back to the queue and keeps its checkpoint.

    Attributes:
        reason: says why.
        counts_as_loss: whether the video itself is to blame: after a few such losses in a row
            it is set aside.
    """

    def __init__(self, reason: str, *, counts_as_loss: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.counts_as_loss = counts_as_loss


def obey(directive: Directive) -> None:
    """Raises VideoCancelled where a write's answer says that a client cancelled the video."""
    if directive.is_cancelled:
        raise VideoCancelled
