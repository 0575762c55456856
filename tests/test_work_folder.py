"""Temporary files of processes that end, and of those that are killed."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gateway_process import running_gateway

from telecine.work_folder import work_folder

HOLDER = """
import sys, tempfile
from telecine.work_folder import work_folder
with work_folder():
    print(tempfile.mkdtemp(prefix="telecine-input-"), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, for this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def other_process(parent: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another process with a temporary folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(parent)},
    ) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_temporary_files_go_with_the_block(parent: Path) -> None:
    with work_folder():
        folder = Path(tempfile.mkdtemp())
        assert folder.parent.parent == parent
    assert list(parent.iterdir()) == []
    assert tempfile.gettempdir() == str(parent)


def test_what_a_killed_process_has_left_is_swept(parent: Path) -> None:
    with other_process(parent) as (process, folder):
        process.kill()
        process.wait()
        assert folder.is_dir()
        with work_folder():
            assert not folder.parent.exists()


def test_what_a_living_process_uses_is_left_to_it(parent: Path) -> None:
    with other_process(parent) as (process, folder):
        with work_folder():
            assert folder.is_dir()
        process.communicate("")
    assert list(parent.iterdir()) == []


def test_a_gateway_sweeps_what_the_one_before_it_has_left(
    redis_url: str, parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(parent))
    with running_gateway(redis_url, parent / "data") as gateway:
        (left,) = parent.glob("telecine-work-*")
        gateway.kill()
        assert left.is_dir()
        gateway.start()
        assert not left.exists()


def test_what_only_has_the_name_is_left_alone(parent: Path) -> None:
    file = parent / "telecine-work-file"
    file.write_bytes(b"")
    target = parent / "target"
    target.mkdir()
    (parent / "telecine-work-link").symlink_to(target)
    with work_folder():
        assert file.exists()
        assert target.exists()


def test_a_process_begins_without_room_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no folder"))
    with work_folder():
        assert tempfile.gettempdir() == str(tmp_path / "no folder")
