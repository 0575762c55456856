"""Frames to a fragmented MP4 file that plays while it grows."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import av

from telecine.media.sound import Sound
from telecine.media.transcoder import EncodingOptions, Frames, set_picture_format, to_picture

# A header of its own, then fragments that know their place in time without what came before.
_FRAGMENTED = "+empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer"


@dataclass(frozen=True)
class LivePiece:
    """A part of the file that is written for good: the header, or the frames of one chunk.

    Attributes:
        offset: where it stands in the file.
        size_bytes: how long it is.
        digest: `sha256:` and the digest of its bytes.
        num_frames: frames that the file shows with it.
    """

    offset: int
    size_bytes: int
    digest: str
    num_frames: int


class LiveWriter:
    """Writes H.264, yuv420p, in fragmented MP4: a header, then a fragment for each `write`.

    The file plays up to its last fragment at any time: no frame waits in the encoder for a
    later one. The same frames in the same chunks give the same bytes. A FrameWriter.

    Args:
        path: the file, which grows piece by piece.
        options: rate, upscale and quality.
        size: width and height of the frames.
        on_piece: is told each piece once it can be read; in the thread that writes.

    Raises:
        ValueError: the pictures' size is odd.
    """

    def __init__(
        self,
        path: Path,
        options: EncodingOptions,
        *,
        size: tuple[int, int],
        on_piece: Callable[[LivePiece], None],
    ) -> None:
        self._options = options
        self._shape = (size[1], size[0], 3)
        self._on_piece = on_piece
        self._num_frames = 0
        self._num_fragments = 0
        header = io.BytesIO()
        self._encoder = _open_container(header, fragment_index=1)
        self._stream = self._encoder.add_stream(
            "libx264",
            rate=options.fps,
            options={"crf": str(options.crf), "preset": options.preset, "tune": "zerolatency"},
        )
        set_picture_format(self._stream, options, width=size[0], height=size[1])
        self._stream.codec_context.thread_count = 1
        self._encoder.start_encoding()
        self._header = header.getvalue()
        self._file = path.open("wb")
        self._append(self._header)

    def write(self, frames: Frames) -> None:
        """Encodes `frames` [n, H, W, 3] uint8 and appends their fragment.

        Raises:
            ValueError: they are of another size.
        """
        if frames.shape[1:] != self._shape:
            raise ValueError(f"frames are {frames.shape[1:]}, not {self._shape}")
        packets: list[av.Packet[av.VideoStream]] = []
        for frame in frames:
            packets += self._stream.encode(to_picture(frame, upscale=self._options.upscale))
        assert len(packets) == len(frames), "the encoder held frames back"
        if packets:
            self._num_frames += len(frames)
            self._num_fragments += 1
            self._append(self._fragment(packets))

    def add_sound(self, sound: Sound) -> None:
        """Refuses it: fragments are played before the sound of the whole is made."""
        raise ValueError(f"a growing file takes no sound, {sound.seconds:.3f} s of it were given")

    def finish(self) -> None:
        """Closes the file, which is whole after every piece."""
        if not self._num_frames:
            raise ValueError("a video needs at least one frame")
        self.abandon()

    def abandon(self) -> None:
        """Closes the file as it is."""
        self._file.close()
        with suppress(av.FFmpegError):
            self._encoder.close()

    def _fragment(self, packets: "Sequence[av.Packet[av.VideoStream]]") -> bytes:
        # FFmpeg ends a fragment only when the next packet comes, or with its file: each
        # fragment is a file of its own, whose header is left out.
        sink = io.BytesIO()
        with _open_container(sink, fragment_index=self._num_fragments) as container:
            stream = container.add_stream_from_template(self._stream)
            for packet in packets:
                packet.duration = 1
                packet.stream = stream
                container.mux(packet)
        data = sink.getvalue()
        assert data.startswith(self._header), "a fragment needs the file's own header"
        return data[len(self._header) :]

    def _append(self, data: bytes) -> None:
        offset = self._file.tell()
        self._file.write(data)
        self._file.flush()
        digest = f"sha256:{sha256(data).hexdigest()}"
        self._on_piece(LivePiece(offset, len(data), digest, self._num_frames))


def _open_container(sink: io.BytesIO, *, fragment_index: int) -> av.container.OutputContainer:
    return av.open(
        sink,
        "w",
        format="mp4",
        options={
            "movflags": _FRAGMENTED,
            "fragment_index": str(fragment_index),
            # Else every fragment would be moved to the beginning of time.
            "avoid_negative_ts": "disabled",
            "use_editlist": "0",
        },
    )
