"""The web application: its files, held in memory, with headers that let it load nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import telecine
from telecine.errors import NotFoundError

_PACKAGE = Path(telecine.__file__).parent
_PLACES = (_PACKAGE / "web", _PACKAGE.parents[1] / "web")  # of a wheel, of a checkout
_PAGE = "index.html"
_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",  # thumbnails; previews, as events bring them
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_KEPT = "public, max-age=31536000, immutable"
_ASKED_FOR_AGAIN = "no-cache"


@dataclass(frozen=True)
class WebFile:
    """A file of the application."""

    content: bytes
    content_type: str


class WebApplication:
    """Serves the page, and its files under a path that changes whenever one of them does.

    So no browser mixes the files of two versions, and none asks for a file that it has.
    """

    def __init__(self, files: Mapping[str, WebFile]) -> None:
        self._files = files
        self._digest = _digest_of(files)
        page = files[_PAGE]
        linked = page.content.replace(b'"./', f'"assets/{self._digest}/'.encode())
        self._page = WebFile(linked, page.content_type)

    async def page(self, request: Request) -> Response:
        """Answers with the page, or says that the browser has it."""
        headers = {"cache-control": _ASKED_FOR_AGAIN, "etag": f'"{self._digest}"'}
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers | _HEADERS)
        return _answer(self._page, headers)

    async def asset(self, request: Request) -> Response:
        """Answers with another of the files."""
        path: str = request.path_params["path"]
        file = self._files.get(path)
        if file is None or request.path_params["digest"] != self._digest:
            raise NotFoundError(request.url.path)
        return _answer(file, {"cache-control": _KEPT})


def add_web_application(app: FastAPI) -> None:
    """Has an HTTP application serve the web application at its root; neither needs a key."""
    web = WebApplication(read_files())
    for path, endpoint in (("/", web.page), ("/assets/{digest}/{path:path}", web.asset)):
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)


def read_files() -> dict[str, WebFile]:
    """Returns the application's files by their paths.

    Raises:
        FileNotFoundError: this installation has none.
    """
    folder = next((place for place in _PLACES if (place / _PAGE).is_file()), None)
    if folder is None:
        raise FileNotFoundError(f"the web application is in none of {_PLACES}")
    return {
        path.relative_to(folder).as_posix(): WebFile(path.read_bytes(), _CONTENT_TYPES[path.suffix])
        for path in sorted(folder.rglob("*"))
        if path.suffix in _CONTENT_TYPES
    }


def _digest_of(files: Mapping[str, WebFile]) -> str:
    digest = hashlib.sha256()
    for path, file in files.items():
        digest.update(f"{path}\0{len(file.content)}\0".encode() + file.content)
    return digest.hexdigest()[:16]


def _answer(file: WebFile, headers: Mapping[str, str]) -> Response:
    return Response(file.content, media_type=file.content_type, headers={**_HEADERS, **headers})
