"""What is made of voice and mouth once a video's frames and sound are there."""

import json

import numpy as np
import pytest
from speaking_face import SAMPLE_RATE, draw_face, random_syllables, speak

from telecine.media.lip_sync import shift
from telecine.media.picture_signals import SmallPictures
from telecine.media.sound import Sound
from telecine.media.transcoder import Frames
from telecine.v1 import video_pb2
from telecine.worker.sound_sync import SyncedSound, synchronise

JOINT, POST_SYNC = video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC
NUM_FRAMES, FPS = 49, 24
SYLLABLES = random_syllables(NUM_FRAMES / FPS, 3)
LATE = 0.2


def synced(mode: video_pb2.AudioMode.ValueType, frames: Frames, sound: Sound) -> SyncedSound:
    pictures = SmallPictures()
    for frame in frames:
        pictures.add(frame[None])
    spec = video_pb2.VideoSpec(audio_mode=mode, fps=FPS)
    video = video_pb2.Video(spec=spec, num_frames=len(frames))
    return synchronise(sound, pictures, video)


@pytest.mark.parametrize(("mode", "left"), [(JOINT, LATE), (POST_SYNC, 0.0)])
def test_late_voice_is_told_of_and_moved_only_where_it_was_made_for_the_picture(
    mode: video_pb2.AudioMode.ValueType, left: float
) -> None:
    voice = speak(SYLLABLES, NUM_FRAMES / FPS)
    late = shift(voice, LATE)
    made = synced(mode, draw_face(SYLLABLES, NUM_FRAMES, FPS), late)
    assert made.lip_sync.confidence > 0.5
    assert made.lip_sync.offset_seconds == pytest.approx(left, abs=0.02)
    assert made.sound.samples.shape == voice.samples.shape
    is_as_it_was = np.array_equal(made.sound.samples, late.samples)
    assert is_as_it_was == (mode == JOINT)
    document = json.loads(made.document)
    assert document["offset_seconds"] == pytest.approx(made.lip_sync.offset_seconds, abs=1e-4)
    assert len(document["visemes"]) == len(made.lip_sync.visemes) > 2


@pytest.mark.parametrize("mode", [JOINT, POST_SYNC])
@pytest.mark.parametrize("num_frames", [1, 2, NUM_FRAMES])
def test_pictures_without_a_mouth_leave_the_sound_as_it_is(
    mode: video_pb2.AudioMode.ValueType, num_frames: int
) -> None:
    frames = np.zeros((num_frames, 64, 64, 3), np.uint8)
    length = round(num_frames / FPS * SAMPLE_RATE)
    tone = np.sin(np.arange(length, dtype=np.float32) / 8)[None]
    for samples in (tone, np.zeros_like(tone), np.zeros((1, 0), np.float32)):
        made = synced(mode, frames, Sound(samples, SAMPLE_RATE))
        assert made.lip_sync.confidence == 0
        assert np.array_equal(made.sound.samples[:, : samples.shape[1]], samples)
