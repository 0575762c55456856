import pytest
import typer

from telecine.cli.generate import describe_failure, parse_labels, parse_size
from telecine.v1 import video_pb2


def test_a_size_is_width_by_height() -> None:
    assert parse_size("128x96") == (128, 96)


@pytest.mark.parametrize("text", ["128", "128x", "x96", "axb", "-1x5", "1x2x3"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)


def test_labels_are_split_at_the_first_equals_sign() -> None:
    assert parse_labels(["team=film", "note=a=b"]) == {"team": "film", "note": "a=b"}
    with pytest.raises(typer.BadParameter):
        parse_labels(["team"])


def test_a_failure_names_its_reason_and_log_id() -> None:
    failure = video_pb2.Failure(reason="MODEL_FAILED", message="out of range", log_id="l1")
    described = describe_failure(video_pb2.Video(failure=failure))
    assert described == "out of range (MODEL_FAILED, log id l1)"
    assert describe_failure(video_pb2.Video()) == ""
