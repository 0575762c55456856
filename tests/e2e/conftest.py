"""The `telecine` command as a person runs it, on the built-in model."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from web_browser import running_browser
from web_service import WebService

TELECINE = (sys.executable, "-m", "telecine.cli")
OpenPage = Callable[..., Page]
SHARED_MEMORY = Path("/dev/shm")


class Up:
    """A running `telecine up`."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        command = [*TELECINE, "up", "--data-dir", data_dir, *options]
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.told = ""

    def wait_until_up(self) -> None:
        """Read what it tells until its addresses are out."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told += line
            if line.split()[:1] == ["data"]:
                return
        raise AssertionError(f"telecine up ended with {self.process.wait()}: {self.told}")

    def address(self, name: str) -> str:
        """Return one of the addresses it told."""
        found = re.search(rf"^\s+{name}\s+(\S+)$", self.told, re.MULTILINE)
        assert found is not None
        return found.group(1)

    def signal(self, number: signal.Signals) -> int:
        """Send it a signal and return its exit code."""
        self.process.send_signal(number)
        self.told += self.process.communicate(timeout=60)[1]
        return self.process.returncode


StartUp = Callable[..., Up]


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[StartUp]:
    """Start `telecine up` on the test's data folder; what still runs at the end is stopped."""
    started: list[Up] = []

    def start(*options: str) -> Up:
        started.append(Up(tmp_path / "data", *options))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.signal(signal.SIGTERM)
        assert up.process.stderr is not None
        up.process.stderr.close()


def telecine(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*TELECINE, *arguments], capture_output=True, text=True, check=False, timeout=150
    )


def assert_nothing_is_left(data_dir: Path) -> None:
    """No process of that data folder runs, none of its ports is open, no region is left."""
    for port in json.loads((data_dir / "ports.json").read_text()).values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not (data_dir / "processes.json").exists()
    assert processes_naming(data_dir) == []


def processes_naming(path: Path) -> list[str]:
    """Return the command lines, of other processes, that name a path."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(path) in command and int(process.name) != os.getpid():
            found.append(command)
    return found


def regions_of(process_ids: set[int]) -> list[str]:
    """Return the shared memory of the Triton servers that these processes started."""
    prefixes = tuple(f"telecine_triton_{process_id}_" for process_id in process_ids)
    return [path.name for path in SHARED_MEMORY.iterdir() if path.name.startswith(prefixes)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebService]:
    up = Up(tmp_path_factory.mktemp("web") / "data")
    try:
        up.wait_until_up()
        key = (up.data_dir / "api.key").read_text().strip()
        yield WebService(up.address("http"), up.address("gateway"), key, up.data_dir)
    finally:
        up.signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser, service: WebService) -> Iterator[OpenPage]:
    """Open the page in a browser that knows nothing yet; errors on it fail the test."""
    pages: list[Page] = []
    problems: list[str] = []

    def open_in(*, key: str = "", **options: object) -> Page:
        page = browser.new_context(**options).new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(_foreign(request.url, service)))
        page.on("console", lambda message: problems.extend(_violations(message.text)))
        if key:
            page.add_init_script(f"sessionStorage.setItem('telecine.api_key', '{key}')")
        page.goto(service.url)
        pages.append(page)
        return page

    yield open_in
    for page in pages:
        page.context.close()
    assert problems == []


@pytest.fixture
def page(open_page: OpenPage, service: WebService) -> Page:
    """The page of someone who is signed in."""
    return open_page(key=service.key)


def _foreign(url: str, service: WebService) -> list[str]:
    own = (service.url, f"blob:{service.url}", "data:image/webp")
    return [] if url.startswith(own) else [f"the page asked {url}"]


def _violations(text: str) -> list[str]:
    return [text] if "Security Policy" in text or "requires 'Trusted" in text else []
