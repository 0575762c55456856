"""How much of a growing file its follower has, and which announced piece continues it."""

from telecine.errors import LiveFileChangedError
from telecine.v1 import video_pb2

Fragment = video_pb2.VideoEvent.FragmentReady


class FollowedFile:
    """Takes the announcements of a video's pieces in the order of its log.

    A worker that is lost is followed by another, which announces the file from its beginning.

    Args:
        position: how many bytes the follower has.
        attempt: the video's newest attempt when the follower came. What older ones made is
            not sent any more: the newest may make it otherwise.
    """

    def __init__(self, *, position: int, attempt: int) -> None:
        self.position = position
        self._attempt = attempt
        self._digests: dict[int, tuple[int, str]] = {}

    def next_part(self, piece: Fragment) -> int | None:
        """Returns from which of its bytes on a piece is to be sent, None for not at all.

        Raises:
            LiveFileChangedError: the follower has other bytes in this place.
        """
        is_newest = piece.attempt >= self._attempt
        continues = piece.offset <= self.position < piece.offset + piece.size_bytes
        if piece.offset < self.position or (is_newest and continues):
            self._compare(piece)
        return self.position - piece.offset if is_newest and continues else None

    def _compare(self, piece: Fragment) -> None:
        announced = (piece.size_bytes, piece.digest)
        if self._digests.setdefault(piece.offset, announced) != announced:
            raise LiveFileChangedError(
                f"{piece.artifact_id} changed at {piece.offset}: attempt {piece.attempt} of the "
                "video gave other bytes there"
            )
