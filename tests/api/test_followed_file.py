"""Which announced piece continues what a follower has."""

import pytest

from telecine.api.followed_file import FollowedFile
from telecine.errors import LiveFileChangedError
from telecine.v1 import video_pb2

Fragment = video_pb2.VideoEvent.FragmentReady


def piece(offset: int, digest: str = "same", *, attempt: int = 1, size: int = 100) -> Fragment:
    return Fragment(
        artifact_id="live.mp4", offset=offset, size_bytes=size, digest=digest, attempt=attempt
    )


def sent(file: FollowedFile, *pieces: Fragment) -> list[tuple[int, int, int]]:
    """Offers pieces, and returns those sent: attempt, offset and how much of them."""
    parts = []
    for each in pieces:
        start = file.next_part(each)
        if start is not None:
            parts.append((each.attempt, each.offset + start, each.size_bytes - start))
            file.position = each.offset + each.size_bytes
    return parts


def test_pieces_are_sent_in_order_each_once() -> None:
    file = FollowedFile(position=0, attempt=1)
    assert sent(file, piece(0), piece(100), piece(100), piece(200)) == [
        (1, 0, 100),
        (1, 100, 100),
        (1, 200, 100),
    ]


def test_piece_that_does_not_continue_the_file_is_not_sent() -> None:
    file = FollowedFile(position=0, attempt=1)
    assert sent(file, piece(100), piece(0), piece(200)) == [(1, 0, 100)]


def test_follower_who_comes_back_gets_the_rest_of_its_piece() -> None:
    file = FollowedFile(position=130, attempt=1)
    assert sent(file, piece(0), piece(100), piece(200)) == [(1, 130, 70), (1, 200, 100)]


def test_pieces_announced_again_are_skipped_until_there_is_a_new_one() -> None:
    file = FollowedFile(position=0, attempt=1)
    again = [piece(offset, attempt=2) for offset in (0, 100, 200)]
    assert sent(file, piece(0), piece(100), *again) == [(1, 0, 100), (1, 100, 100), (2, 200, 100)]


@pytest.mark.parametrize(
    "changed", [piece(100, "other", attempt=2), piece(100, attempt=2, size=150)]
)
def test_other_bytes_than_those_sent_end_it(changed: Fragment) -> None:
    file = FollowedFile(position=0, attempt=1)
    sent(file, piece(0), piece(100), piece(0, attempt=2))
    with pytest.raises(LiveFileChangedError, match="at 100"):
        file.next_part(changed)


def test_follower_who_comes_back_does_not_go_on_with_other_bytes() -> None:
    file = FollowedFile(position=150, attempt=2)
    assert sent(file, piece(0), piece(100), piece(200), piece(0, attempt=2)) == []
    with pytest.raises(LiveFileChangedError):
        file.next_part(piece(100, "other", attempt=2))


def test_follower_who_comes_later_gets_the_newest_attempt_alone() -> None:
    file = FollowedFile(position=0, attempt=2)
    old = [piece(0, "old"), piece(100, "old")]
    new = [piece(0, "new", attempt=2), piece(100, "new", attempt=2)]
    assert sent(file, *old, *new) == [(2, 0, 100), (2, 100, 100)]


def test_other_bytes_where_nothing_was_sent_yet_do_no_harm() -> None:
    file = FollowedFile(position=50, attempt=2)
    pieces = [piece(0), piece(100, "old"), piece(0, attempt=2), piece(100, "new", attempt=2)]
    assert sent(file, *pieces) == [(2, 50, 50), (2, 100, 100)]
