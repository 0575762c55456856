"""One video as several files."""

from collections.abc import Sequence

from telecine.media.sound import Sound
from telecine.media.transcoder import Frames, FrameWriter


class SeveralWriters:
    """Gives every frame to each of the writers, one after another. A FrameWriter."""

    def __init__(self, writers: Sequence[FrameWriter]) -> None:
        self._writers = writers

    def write(self, frames: Frames) -> None:
        """Encodes `frames` [n, H, W, 3] uint8 in every file."""
        for writer in self._writers:
            writer.write(frames)

    def add_sound(self, sound: Sound) -> None:
        """Takes the sound of the whole video for every file."""
        for writer in self._writers:
            writer.add_sound(sound)

    def finish(self) -> None:
        """Completes every file."""
        for writer in self._writers:
            writer.finish()

    def abandon(self) -> None:
        """Closes the unfinished files."""
        for writer in self._writers:
            writer.abandon()
