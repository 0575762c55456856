"""Names of objects."""

import pytest

from telecine.storage.keys import (
    artifact_key,
    attempt_key,
    media_key,
    piece_key,
    pieces_prefix,
    video_prefix,
)
from telecine.v1 import video_pb2


def test_artifact_lies_where_the_attempt_that_won_has_put_it() -> None:
    video = video_pb2.Video(name="videos/v1", attempt=2)
    stored = attempt_key("videos/v1", attempt=2, artifact_id="video.mp4")
    assert artifact_key(video, "video.mp4") == stored == "videos/v1/2/video.mp4"
    assert stored.startswith(video_prefix("videos/v1") + "/")
    assert attempt_key("videos/v1", attempt=1, artifact_id="video.mp4") != stored


def test_pieces_of_a_growing_file_lie_in_order_beside_no_other_attempts() -> None:
    keys = [piece_key("videos/v1", attempt=2, offset=offset) for offset in (0, 758, 10_000)]
    assert keys == sorted(keys)
    assert all(key.startswith(pieces_prefix("videos/v1", attempt=2) + "/") for key in keys)
    assert not keys[0].startswith(pieces_prefix("videos/v1", attempt=1))


@pytest.mark.parametrize("artifact_id", ["../../v2/1/video.mp4", "", ".", "a/../b"])
def test_artifact_ids_cannot_lead_elsewhere(artifact_id: str) -> None:
    with pytest.raises(ValueError, match="not the key"):
        attempt_key("videos/v1", attempt=1, artifact_id=artifact_id)


def test_media_are_stored_under_their_names() -> None:
    assert media_key("media/m1") == "media/m1"
