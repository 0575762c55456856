"""Files that an attempt had stored when its end was lost."""

import tempfile
from pathlib import Path

import pytest

from telecine.jobs.job_store import JobStore
from telecine.jobs.job_types import Assignment
from telecine.storage.keys import artifact_key
from telecine.storage.local_object_store import LocalObjectStore
from telecine.v1 import video_pb2
from telecine.worker.finished_attempts import FinishedFiles, adopt_finished, store_manifest

CONTENTS = {"video.mp4": b"the video", "thumbnail.webp": b"a picture"}


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(tmp_path)


async def store_attempt(
    store: LocalObjectStore, video: video_pb2.Video, lip_sync: video_pb2.LipSync | None = None
) -> FinishedFiles:
    """Does what a worker does before it ends the video."""
    artifacts = []
    for artifact_id, data in CONTENTS.items():
        stored = await store.put(artifact_key(video, artifact_id), data)
        artifacts.append(
            video_pb2.Artifact(
                artifact_id=artifact_id, size_bytes=stored.size_bytes, digest=stored.digest
            )
        )
    files = FinishedFiles(artifacts, lip_sync)
    await store_manifest(store, video, files)
    return files


def attempt_of(video: video_pb2.Video, number: int) -> video_pb2.Video:
    copy = video_pb2.Video()
    copy.CopyFrom(video)
    copy.attempt = number
    return copy


@pytest.mark.parametrize("attempt", [1, 2, 3])
async def test_whole_files_become_those_of_the_attempt_that_finds_them(
    store: LocalObjectStore, assignment: Assignment, attempt: int
) -> None:
    files = await store_attempt(store, attempt_of(assignment.video, 2))
    now = attempt_of(assignment.video, attempt)
    assert await adopt_finished(store, now) == files
    for artifact_id, data in CONTENTS.items():
        chunks = store.read(artifact_key(now, artifact_id))
        assert b"".join([chunk async for chunk in chunks]) == data


async def test_how_voice_and_mouth_go_together_is_found_with_the_files(
    store: LocalObjectStore, assignment: Assignment
) -> None:
    viseme = video_pb2.Viseme(start_seconds=0.1, end_seconds=0.2, name="aa")
    lip_sync = video_pb2.LipSync(offset_seconds=-0.04, confidence=0.9, visemes=[viseme])
    files = await store_attempt(store, attempt_of(assignment.video, 2), lip_sync)
    assert await adopt_finished(store, assignment.video) == files
    assert files.lip_sync == lip_sync


async def test_attempt_that_was_not_done_is_not_adopted(
    store: LocalObjectStore, assignment: Assignment
) -> None:
    assert await adopt_finished(store, assignment.video) is None
    await store.put(artifact_key(assignment.video, "video.mp4"), b"the video")
    assert await adopt_finished(store, assignment.video) is None


@pytest.mark.parametrize("damage", ["other bytes", "no file", "no manifest", "other model"])
async def test_files_that_are_not_whole_are_made_again(
    store: LocalObjectStore, assignment: Assignment, tmp_path: Path, damage: str
) -> None:
    await store_attempt(store, assignment.video)
    video = attempt_of(assignment.video, 2)
    file = tmp_path / artifact_key(assignment.video, "video.mp4")
    match damage:
        case "other bytes":
            await store.put(artifact_key(assignment.video, "video.mp4"), b"something else")
        case "no file":
            file.unlink()
        case "no manifest":
            (file.parent / "manifest.json").write_text("{")
        case "other model":
            video.model_digest = "sha256:1"
    assert await adopt_finished(store, video) is None


async def test_files_that_cannot_be_copied_for_want_of_room_are_made_again(
    store: LocalObjectStore,
    assignment: Assignment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store_attempt(store, assignment.video)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no folder"))
    assert await adopt_finished(store, attempt_of(assignment.video, 2)) is None


async def test_object_store_that_is_away_stops_nobody(
    assignment: Assignment, jobs: JobStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    assert await adopt_finished(LocalObjectStore(tmp_path / "file"), assignment.video) is None
