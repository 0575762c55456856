"""Which files a video is wanted as, and the writer that makes all of them at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from telecine.media.several_writers import SeveralWriters
from telecine.media.transcoder import EncodingOptions, FrameWriter, Mp4Writer
from telecine.media.webm_writer import WebmWriter
from telecine.v1 import video_pb2


class VideoFile(NamedTuple):
    """One file of a video, and how it is made."""

    artifact_id: str
    content_type: str
    make_writer: Callable[[Path, EncodingOptions], FrameWriter]


_MP4 = VideoFile("video.mp4", "video/mp4", Mp4Writer)
_WEBM = VideoFile("video.webm", "video/webm", WebmWriter)


def video_files(spec: video_pb2.VideoSpec) -> Sequence[VideoFile]:
    """Returns the files of a video, that first which it is by default."""
    formats = set(spec.output_formats) or {video_pb2.OUTPUT_FORMAT_MP4_H264}
    files = {video_pb2.OUTPUT_FORMAT_MP4_H264: _MP4, video_pb2.OUTPUT_FORMAT_WEBM_VP9: _WEBM}
    return [file for number, file in files.items() if number in formats]


def open_video_files(
    spec: video_pb2.VideoSpec, options: EncodingOptions, folder: Path
) -> FrameWriter:
    """Returns what writes the files of a video into a folder, by their artifacts' names."""
    writers = [file.make_writer(folder / file.artifact_id, options) for file in video_files(spec)]
    return SeveralWriters(writers)
