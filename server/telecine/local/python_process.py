"""A gateway or a worker as a child process."""

import subprocess
import sys
from pathlib import Path

STOP_SECONDS = 20.0


class PythonProcess:
    """`telecine gateway` or `telecine worker`, with its output in a log file."""

    def __init__(self, command: str, *, settings: Path, log: Path) -> None:
        self.log = log
        self._arguments = [sys.executable, "-m", "telecine.cli", command]
        self._arguments += ["--settings", str(settings)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None while it does not run."""
        return self._process.pid if self._process and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; it is not waited for."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C must reach the parent alone, which stops it in order.
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop it cleanly, by force when it does not end in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill it with no warning, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_log_lines(self) -> str:
        """Return the end of its output, for a person."""
        if not self.log.exists():
            return "no log"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
