"""Which files a video is made as."""

import pytest

from telecine.v1 import video_pb2
from telecine.worker.video_files import video_files

MP4, WEBM = video_pb2.OUTPUT_FORMAT_MP4_H264, video_pb2.OUTPUT_FORMAT_WEBM_VP9


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ([], ["video.mp4"]),
        ([MP4], ["video.mp4"]),
        ([WEBM], ["video.webm"]),
        ([WEBM, MP4], ["video.mp4", "video.webm"]),
    ],
)
def test_a_video_is_made_in_the_formats_of_its_spec(
    formats: list[video_pb2.OutputFormat.ValueType], expected: list[str]
) -> None:
    files = video_files(video_pb2.VideoSpec(output_formats=formats))
    assert [file.artifact_id for file in files] == expected
