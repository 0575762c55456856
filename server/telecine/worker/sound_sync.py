"""Voice and mouth of a video whose sound goes with it: measured, and brought together."""

from typing import NamedTuple

from telecine.media.lip_sync import as_json, measure, visemes
from telecine.media.picture_signals import SmallPictures
from telecine.media.post_sync import align
from telecine.media.sound import Sound, fit
from telecine.v1 import video_pb2

_MAX_SHOWN_VISEMES = 1_000


class SyncedSound(NamedTuple):
    """A sound as it goes into the file, and what is told of it."""

    sound: Sound
    lip_sync: video_pb2.LipSync
    document: bytes
    """The same as JSON, with every viseme."""


def synchronise(sound: Sound, pictures: SmallPictures, video: video_pb2.Video) -> SyncedSound:
    """Measures how a sound lies beside the pictures; moves one that was made for them there.

    A sound that was denoised along with the picture, or that the picture was made to, stays.

    Args:
        sound: the whole video's.
        pictures: all its frames, small.
        video: with its spec and how many frames it has.
    """
    spec = video.spec
    sound = fit(sound, video.num_frames, spec.fps)
    if spec.audio_mode == video_pb2.AUDIO_MODE_POST_SYNC:
        sound, found = align(pictures, sound, spec.fps)
    else:
        found = measure(pictures, sound, spec.fps)
    shapes = visemes(sound)
    lip_sync = video_pb2.LipSync(
        offset_seconds=found.offset_seconds,
        confidence=found.confidence,
        visemes=[
            video_pb2.Viseme(start_seconds=shape.start, end_seconds=shape.end, name=shape.name)
            for shape in shapes[:_MAX_SHOWN_VISEMES]
        ],
    )
    return SyncedSound(sound, lip_sync, as_json(found, shapes))
