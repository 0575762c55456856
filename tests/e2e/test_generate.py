"""`telecine generate` where nothing runs."""

from pathlib import Path

import av

from .conftest import assert_nothing_is_left, telecine


def test_a_server_is_started_for_one_video_and_stopped(tmp_path: Path) -> None:
    data = ("--data-dir", tmp_path / "data")
    made = telecine("generate", "a blue square", "--steps", "4", *data, "-o", tmp_path / "out.mp4")
    assert made.returncode == 0, made.stderr
    assert "no server runs here" in made.stderr
    assert made.stdout == f"{tmp_path / 'out.mp4'}\n"
    with av.open(tmp_path / "out.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (128, 128)
    assert_nothing_is_left(tmp_path / "data")


def test_a_bad_request_ends_with_its_field_and_leaves_nothing(tmp_path: Path) -> None:
    data = ("--data-dir", tmp_path / "data")
    refused = telecine("generate", "a blue square", "--size", "77x77", *data)
    assert refused.returncode == 1
    assert "spec.size" in refused.stderr
    assert refused.stdout == ""
    assert_nothing_is_left(tmp_path / "data")
