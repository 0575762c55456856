"""The HTTP server: the routes, what stands around them, and uvicorn in the gateway's own loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException

import telecine
from telecine.api.gateway_parts import GatewayParts
from telecine.api.health_service import HealthServicer
from telecine.api.http import (
    account_routes,
    content_routes,
    derived_routes,
    event_routes,
    media_routes,
    model_routes,
    video_routes,
    websocket_hub,
)
from telecine.api.http.api_document import describe_api
from telecine.api.http.error_answers import (
    answer_bad_parameter,
    answer_http_error,
    answer_telecine_error,
)
from telecine.api.http.header_deadline import HeaderDeadlineProtocol
from telecine.api.http.health_route import add_health_route
from telecine.api.http.request_frame import RequestFrame
from telecine.api.http.web_application import add_web_application
from telecine.api.http.websocket_protocol import RefusingWebSocketProtocol
from telecine.api.tls import server_ssl_context
from telecine.auth_settings import TlsSettings
from telecine.config import GatewaySettings
from telecine.errors import TelecineError

# Paths of their own come before those that an id could be part of.
_ROUTES = (
    account_routes,
    event_routes,
    video_routes,
    derived_routes,
    content_routes,
    websocket_hub,
    media_routes,
    model_routes,
)
_START_POLL_SECONDS = 0.01
_EXPOSED_HEADERS = (
    "x-request-id",
    "openai-poll-after-ms",
    "retry-after",
    "content-range",
    "etag",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)


def build_app(parts: GatewayParts, settings: GatewaySettings, health: HealthServicer) -> FastAPI:
    """Returns the application with every route."""
    app = FastAPI(
        title="Telecine",
        version=telecine.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.parts = parts
    app.state.public_url = settings.public_url.rstrip("/")
    app.state.video_kept_days = settings.video_kept_days
    app.state.routes = [route for routes in _ROUTES for route in routes.router.routes]
    for routes in _ROUTES:
        app.include_router(routes.router)
    add_health_route(app, health)
    add_web_application(app)
    app.add_exception_handler(TelecineError, answer_telecine_error)
    app.add_exception_handler(RequestValidationError, answer_bad_parameter)
    app.add_exception_handler(WebSocketRequestValidationError, answer_bad_parameter)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_middleware(
        RequestFrame,
        idle_seconds=settings.upload_idle_seconds,
        origins=(*settings.cors_origins, *_origins_of(settings.public_url)),
        cors=_cors_of(settings),
    )
    describe_api(app)
    return app


def _cors_of(settings: GatewaySettings) -> dict[str, Any] | None:
    """Returns what pages of other origins may read, None for nothing."""
    if not settings.cors_origins:
        return None
    return {
        "allow_origins": settings.cors_origins,
        "allow_methods": ["*"],
        "allow_headers": ["*"],
        "expose_headers": _EXPOSED_HEADERS,
    }


def _origins_of(public_url: str) -> tuple[str, ...]:
    """Returns the origin that pages have there, where the setting is set."""
    scheme, netloc, *_ = urlsplit(public_url)
    return (f"{scheme}://{netloc}".lower(),) if public_url else ()


class HttpServer:
    """Serves an application on a port until it is stopped."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        self._host, self._port = settings.host, settings.http_port
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                http=HeaderDeadlineProtocol,
                ws=RefusingWebSocketProtocol,
                ws_max_size=websocket_hub.MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,  # its buffers would be most of a watcher's memory
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(settings.stop_grace_seconds)),
                ssl_context_factory=_context_factory(settings.tls),
            )
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Begins to serve, and returns the address bound.

        Raises:
            OSError: the port is taken.
        """
        listener = socket.create_server((self._host, self._port))
        self._running = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._running.done():  # noqa: ASYNC110 (uvicorn sets a flag)
            await asyncio.sleep(_START_POLL_SECONDS)
        if self._running.done():
            self._running.result()
        return f"{self._host}:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """Lets running requests end, for a while, and closes the port."""
        self._server.should_exit = True
        if self._running is not None:
            await self._running


def _context_factory(tls: TlsSettings | None) -> Callable[..., ssl.SSLContext] | None:
    return None if tls is None else lambda *_: server_ssl_context(tls)


class _QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield
