"""What a video is made from, where it is away, gone or too large."""

import io
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image
from track_files import write_track

from telecine.errors import InputUnusableError, NotFoundError, ObjectStoreUnavailableError
from telecine.jobs.job_store import JobStore
from telecine.media.clip_file import ClipFile
from telecine.media.transcoder import EncodingOptions, Mp4Writer
from telecine.storage.keys import media_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import video_pb2
from telecine.worker import video_inputs
from telecine.worker.held_video import HeldVideo
from telecine.worker.interruptions import HandBack
from telecine.worker.video_inputs import InputReader, VideoInputs, input_of

NO_JOBS = cast(JobStore, None)
MEDIA = "media/0123456789abcdef"


class Held:
    """Of a held video what is read of it here."""

    def __init__(self, spec: video_pb2.VideoSpec) -> None:
        self.video = video_pb2.Video(spec=spec, num_frames=9)
        self.notices: list[str] = []

    async def notify(self, reason: str, message: str) -> None:  # noqa: ARG002
        self.notices.append(reason)


class AwayStore(LocalObjectStore):
    """A store that cannot be reached the first times it is asked."""

    num_failures = 0

    def read(
        self, key: str, *, offset: int = 0, limit: int = 0, chunk_bytes: int = 1 << 20
    ) -> AsyncGenerator[bytes, None]:
        if self.num_failures > 0:
            self.num_failures -= 1
            raise ObjectStoreUnavailableError("away")
        return super().read(key, offset=offset, limit=limit, chunk_bytes=chunk_bytes)


async def read(store: LocalObjectStore, held: Held, *, patience_seconds: float = 30.0) -> None:
    reader = InputReader(store, NO_JOBS, patience_seconds=patience_seconds)
    async with reader.open(cast(HeldVideo, held)):
        pass


@pytest.fixture
def held() -> Held:
    return Held(video_pb2.VideoSpec(input_image=MEDIA))


def test_the_field_is_named_that_names_the_input() -> None:
    edit = video_pb2.VideoSpec(edit=video_pb2.Edit(source="videos/v"))
    extend = video_pb2.VideoSpec(extend=video_pb2.Extend(source="videos/w"))
    assert input_of(edit) == ("spec.edit.source", "videos/v")
    assert input_of(extend) == ("spec.extend.source", "videos/w")
    assert input_of(video_pb2.VideoSpec(input_image=MEDIA)) == ("spec.input_image", MEDIA)
    assert input_of(video_pb2.VideoSpec(prompt="a cat")) == ("", "")


async def test_without_an_input_the_whole_clip_is_made(tmp_path: Path) -> None:
    reader = InputReader(LocalObjectStore(tmp_path), NO_JOBS, patience_seconds=1.0)
    async with reader.open(cast(HeldVideo, Held(video_pb2.VideoSpec(prompt="a cat")))) as inputs:
        assert (inputs.frames, inputs.clip_frames) == (None, 9)
        assert [chunk async for chunk in inputs.kept_frames()] == []


async def test_an_input_that_is_gone_is_told_with_its_field(tmp_path: Path, held: Held) -> None:
    with pytest.raises(InputUnusableError, match=f"spec.input_image: {MEDIA} is gone"):
        await read(LocalObjectStore(tmp_path), held)


async def test_an_input_that_is_too_large_is_not_fetched_to_its_end(
    tmp_path: Path, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalObjectStore(tmp_path)
    await store.put(MEDIA, bytes(1000))
    monkeypatch.setattr(video_inputs, "MAX_INPUT_BYTES", 999)
    with pytest.raises(InputUnusableError, match="more than 999 bytes"):
        await read(store, held)


async def test_a_strip_is_told_with_its_field(tmp_path: Path, held: Held) -> None:
    store = LocalObjectStore(tmp_path)
    picture = io.BytesIO()
    Image.new("RGB", (2100, 100)).save(picture, "PNG")
    await store.put(MEDIA, picture.getvalue())
    with pytest.raises(InputUnusableError, match=f"spec.input_image: {MEDIA}: 2100x100: a side"):
        await read(store, held)


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path, held: Held) -> None:
    store = AwayStore(tmp_path)
    await store.put(MEDIA, b"not a picture")
    store.num_failures = 2
    with pytest.raises(InputUnusableError, match="not a picture that can be decoded"):
        await read(store, held)
    assert held.notices == ["OBJECT_STORE_UNAVAILABLE"]


async def test_a_store_that_stays_away_hands_the_video_back(tmp_path: Path, held: Held) -> None:
    store = AwayStore(tmp_path)
    store.num_failures = 1_000_000
    with pytest.raises(HandBack, match="OBJECT_STORE_UNAVAILABLE"):
        await read(store, held, patience_seconds=0.1)


async def test_what_goes_wrong_after_the_input_was_read_is_not_its_fault(
    tmp_path: Path, held: Held
) -> None:
    store = LocalObjectStore(tmp_path / "objects")
    picture = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(picture)
    await store.put_file(media_key(MEDIA), picture)
    reader = InputReader(store, NO_JOBS, patience_seconds=30.0)
    for error in (ValueError("of the encoder"), NotFoundError("videos/v")):
        with pytest.raises(type(error)) as raised:
            async with reader.open(cast(HeldVideo, held)):
                raise error
        assert raised.value is error


async def test_source_that_cannot_be_decoded_to_its_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "source.mp4"
    writer = Mp4Writer(path, EncodingOptions(fps=16))
    writer.write(np.zeros((4, 16, 16, 3), np.uint8))
    writer.finish()
    inputs = replace(extension(1), source=ClipFile(path), num_kept_frames=9)
    inputs.spec.fps = 16
    inputs.spec.size.CopyFrom(video_pb2.Size(width=16, height=16))
    with pytest.raises(InputUnusableError, match="source: videos/v: it has 4 frames"):
        async for _ in inputs.kept_frames():
            pass


def extension(num_context_frames: int, num_overlap_frames: int = 0) -> VideoInputs:
    start = np.zeros((num_context_frames + num_overlap_frames, 2, 2, 3), np.uint8)
    return VideoInputs(
        video_pb2.VideoSpec(extend=video_pb2.Extend(source="videos/v")),
        start[:num_context_frames],
        clip_frames=num_context_frames + (8 if num_overlap_frames else 4),
        clip_start=start,
        num_overlap_frames=num_overlap_frames,
        num_spare_frames=1 if num_overlap_frames else 0,
        source=cast(ClipFile, object()),
    )


def test_the_source_s_frames_turn_into_the_decoded_ones_step_by_step() -> None:
    decoded = np.full((13, 2, 2, 3), 200, np.uint8)
    inputs = extension(9)
    whole = inputs.stitched(decoded, first=0)[:, 0, 0, 0].tolist()
    assert whole == [20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 200, 200, 200]
    chunks = [inputs.stitched(decoded[a:b], first=a) for a, b in ((0, 1), (1, 5), (5, 13))]
    assert np.concatenate(chunks)[:, 0, 0, 0].tolist() == whole


def test_the_source_s_frames_stay_as_they_are_until_shortly_before_the_clip_s_own() -> None:
    decoded = np.full((17, 2, 2, 3), 210, np.uint8)
    inputs = extension(9, num_overlap_frames=3)
    whole = inputs.stitched(decoded, first=0)[:, 0, 0, 0].tolist()
    # The last frame of the overlap's latent frame but one is new; the clip's very last is spare.
    assert whole == [0] * 6 + [30, 60, 90, 120, 150, 180] + [210] * 4
    chunks = [inputs.stitched(decoded[a:b], first=a) for a, b in ((0, 1), (1, 9), (9, 16))]
    assert np.concatenate(chunks)[:, 0, 0, 0].tolist() == whole
    assert len(inputs.stitched(decoded[16:], first=16)) == 0


def test_frames_of_a_video_that_is_no_extension_are_shown_as_they_are() -> None:
    decoded = np.full((5, 2, 2, 3), 200, np.uint8)
    inputs = VideoInputs(video_pb2.VideoSpec(input_image=MEDIA), decoded[:1], clip_frames=5)
    assert inputs.stitched(decoded, first=0) is decoded


async def test_track_is_read_as_long_as_the_video(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path / "objects")
    noise = np.random.default_rng(0).uniform(-1, 1, (1, 48_000)).astype(np.float32)
    path = write_track(tmp_path / "track.wav", noise, 48_000, "wav")
    await store.put_file(media_key(MEDIA), path)
    held = Held(video_pb2.VideoSpec(input_audio=MEDIA, fps=16))
    reader = InputReader(store, NO_JOBS, patience_seconds=30.0)
    async with reader.open(cast(HeldVideo, held)) as inputs:
        assert inputs.frames is None
        assert inputs.track is not None
        assert inputs.track.samples.shape == (1, 9 * 3_000)
        assert inputs.heard is None


@pytest.mark.parametrize("num_channels", [1, 2])
async def test_track_that_the_picture_is_made_to_is_heard_beyond_its_end(
    tmp_path: Path, num_channels: int
) -> None:
    store = LocalObjectStore(tmp_path / "objects")
    tone = 0.5 * np.sin(np.arange(4_800_000, dtype=np.float32) / 40)[None]
    # Of two channels the mean is heard.
    samples = np.concatenate([tone, np.zeros_like(tone)])[:num_channels]
    path = write_track(tmp_path / "track.wav", samples, 48_000, "wav")
    await store.put_file(media_key(MEDIA), path)
    spec = video_pb2.VideoSpec(input_audio=MEDIA, fps=16, audio_mode=video_pb2.AUDIO_MODE_JOINT)
    reader = InputReader(store, NO_JOBS, patience_seconds=30.0)
    async with reader.open(cast(HeldVideo, Held(spec))) as inputs:
        assert inputs.track is not None
        assert inputs.track.samples.shape == (num_channels, 9 * 3_000)
        assert inputs.heard is not None
        assert inputs.heard.shape == (9 * 1_000 + 16_000,)
        expected = tone[0, ::3] / num_channels
        assert np.abs(inputs.heard[100:20_000] - expected[100:20_000]).max() < 0.01


@pytest.mark.parametrize(("content", "message"), [(None, "is gone"), (b"no sound", "none of WAV")])
async def test_track_that_is_gone_or_none_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    store = LocalObjectStore(tmp_path)
    if content is not None:
        await store.put(media_key(MEDIA), content)
    held = Held(video_pb2.VideoSpec(input_audio=MEDIA, fps=16))
    with pytest.raises(InputUnusableError, match=message) as raised:
        await read(store, held)
    assert raised.value.field == "spec.input_audio"
