import hashlib
from pathlib import Path

import pytest

from telecine.client import DownloadError
from telecine.client.download_file import DownloadFile
from telecine.v1 import video_pb2, video_service_pb2


def _responses(data: bytes, *, promised: bytes) -> list[video_service_pb2.DownloadVideoResponse]:
    digest = f"sha256:{hashlib.sha256(promised).hexdigest()}"
    artifact = video_pb2.Artifact(size_bytes=len(promised), digest=digest)
    half = len(data) // 2
    return [
        video_service_pb2.DownloadVideoResponse(artifact=artifact, data=data[:half]),
        video_service_pb2.DownloadVideoResponse(data=data[half:]),
    ]


def test_a_whole_file_takes_its_place(tmp_path: Path) -> None:
    with DownloadFile(tmp_path / "out.mp4") as file:
        for response in _responses(b"frames", promised=b"frames"):
            file.write(response)
    assert (tmp_path / "out.mp4").read_bytes() == b"frames"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("data", [b"frame", b"framez"])
def test_a_damaged_file_leaves_what_was_there(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "out.mp4").write_bytes(b"older")
    with pytest.raises(DownloadError), DownloadFile(tmp_path / "out.mp4") as file:
        for response in _responses(data, promised=b"frames"):
            file.write(response)
    assert (tmp_path / "out.mp4").read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_growing_file_is_in_its_place_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    begin, end = _responses(b"frames", promised=b"frames")
    with DownloadFile(path, is_growing=True) as file:
        file.write(begin)
        assert path.read_bytes() == b"fra"
        file.restart()
        file.write(begin)
        file.write(end)
    assert path.read_bytes() == b"frames"


def test_a_growing_file_that_breaks_off_stays_as_far_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(DownloadError), DownloadFile(path, is_growing=True) as file:
        file.write(_responses(b"frames", promised=b"frames")[0])
    assert path.read_bytes() == b"fra"
