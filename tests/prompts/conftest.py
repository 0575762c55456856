"""A chat model on a free port, which answers as a test tells it to."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class ChatModel:
    """What it answers, and what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    delay_seconds: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def say(self, caption: object) -> None:
        """Has it answer with a caption, as chat completions do."""
        self.body = json.dumps({"choices": [{"message": {"content": caption}}]}).encode()


@pytest.fixture
def chat_model() -> Iterator[ChatModel]:
    model = ChatModel()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            model.requests.append({"path": self.path, **json.loads(body)})
            model.keys.append(self.headers.get("authorization", ""))
            self.send_response(model.status)
            self.send_header("location", "/elsewhere")
            self.end_headers()
            half = len(model.body) // 2
            try:
                self.wfile.write(model.body[:half])
                self.wfile.flush()
                time.sleep(model.delay_seconds)
                self.wfile.write(model.body[half:])
            except ConnectionError:  # who asked has given up
                return

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield model
    server.shutdown()
    thread.join()
    server.server_close()
