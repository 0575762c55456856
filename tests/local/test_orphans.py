import json
import subprocess
from pathlib import Path

from telecine.local.orphans import end_orphans, note_processes


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def test_a_process_left_behind_is_ended_with_its_children(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    command = "sleep 1000 & echo started; wait"
    parent = subprocess.Popen(["sh", "-c", command], start_new_session=True, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    note_processes(path, {"worker": parent.pid})
    assert end_orphans(path) == ["worker"]
    assert parent.wait() != 0
    # The child held the pipe's other end.
    assert parent.stdout.read() == b""
    parent.stdout.close()
    assert not path.exists()


def test_another_process_of_the_same_id_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    process = _sleeper()
    note_processes(path, {"worker": process.pid})
    noted = json.loads(path.read_text())
    noted["worker"][1] -= 1
    path.write_text(json.dumps(noted))
    assert end_orphans(path) == []
    assert process.poll() is None
    process.kill()
    process.wait()


def test_processes_that_have_ended_are_no_orphans(tmp_path: Path) -> None:
    path = tmp_path / "processes.json"
    process = _sleeper()
    note_processes(path, {"worker": process.pid})
    process.kill()
    process.wait()
    assert end_orphans(path) == []
    assert end_orphans(path) == []
