"""Frames to a WebM file: VP9, and Opus where there is sound."""

import struct
from pathlib import Path

from telecine.media.sound_track import TrackKind
from telecine.media.transcoder import EncodingOptions, FileWriter

_VP9 = {
    # As good and as quickly made as H.264 with crf 18 and the preset veryfast.
    "crf": "24",
    "b": "0",  # no rate to keep, quality alone
    "deadline": "realtime",
    "cpu-used": "8",
    "row-mt": "1",
}
# The element Duration: its identifier, then the size of a double.
_DURATION = b"\x44\x89\x88"
_HEAD_BYTES = 4096
_WEBM = {
    # Where what is comes before what it is of, so that players can seek before they have it all.
    "cues_to_front": "1",
    # Else the identifiers of the tracks are drawn at random.
    "fflags": "+bitexact",
}


class WebmWriter(FileWriter):
    """Writes VP9, yuv420p, and Opus where there is sound, in a WebM whose index comes first.

    Of the options it takes rate and upscale.
    """

    def __init__(self, path: Path, options: EncodingOptions) -> None:
        super().__init__(
            path,
            options,
            codec="libvpx-vp9",
            codec_options=_VP9,
            container_options=_WEBM,
            track=TrackKind(
                codec="libopus", sample_format="flt", container="webm", container_options=_WEBM
            ),
        )

    def finish(self) -> None:
        """Writes what the encoder still holds, the sound, and how long the video is."""
        super().finish()
        _write_duration(self._path, 1000 * self._num_frames / self._options.fps)


def _write_duration(path: Path, milliseconds: float) -> None:
    """Says how long a WebM is: FFmpeg rounds it, and counts what Opus decoders leave out."""
    with path.open("r+b") as file:
        place = file.read(_HEAD_BYTES).index(_DURATION) + len(_DURATION)
        file.seek(place)
        file.write(struct.pack(">d", milliseconds))
