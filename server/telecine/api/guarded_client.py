"""Calls to addresses that callers name, which must not lead into the service's own network."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

import httpcore2

MAX_URL_CHARACTERS = 2048
MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_MAX_CONNECTIONS = 256
_TIMEOUTS = {"timeout": {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}}
# TLS that breaks after its handshake is an OSError of ssl's own.
_BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, OSError)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutsideError(Exception):
    """An address that is not called, or a call that failed; says why."""


def check_url(url: str) -> None:
    """Refuses what is no http(s) URL of a host.

    Raises:
        OutsideError: it is none.
    """
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise OutsideError("is not a URL") from None
    if len(url) > MAX_URL_CHARACTERS or not (url.isascii() and url.isprintable()) or " " in url:
        raise OutsideError(f"is not a URL of at most {MAX_URL_CHARACTERS} ASCII characters")
    if parts.scheme not in {"http", "https"} or not is_whole:
        raise OutsideError("is not an http:// or https:// URL with a host")
    if parts.username is not None:
        raise OutsideError("has a user or a password in it")


class GuardedClient:
    """An HTTP client that connects to public addresses alone.

    The address that was checked is the one connected to: a name that resolves to another one the
    next time (DNS rebinding) gains nothing. Redirects are followed by calls that are checked anew.

    Args:
        hosts: where this is not empty, the only hosts called, whatever their address.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = frozenset(hosts)
        self._pool = httpcore2.AsyncConnectionPool(
            network_backend=_GuardedBackend(self._hosts),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=0,
        )

    def require_callable(self, url: str) -> None:
        """Refuses what would never be called, whatever its host's name resolves to.

        Raises:
            OutsideError: it is no URL, or at a host or an address that is not called.
        """
        check_url(url)
        host = urlsplit(url).hostname or ""
        _require_host(host, self._hosts)
        with suppress(ValueError):  # a name
            _require_public([ipaddress.ip_address(host)], self._hosts)

    async def get(self, url: str, *, max_bytes: int, seconds: float) -> bytes:
        """Returns what lies at a URL.

        Raises:
            OutsideError: it may not be called, does not answer in time, or is too large.
        """
        try:
            async with asyncio.timeout(seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    content, url = await self._get_once(url, max_bytes)
                    if content is not None:
                        return content
        except TimeoutError:
            raise OutsideError(f"was not sent within {seconds:g} s") from None
        raise OutsideError(f"leads to more than {MAX_REDIRECTS} redirects")

    async def post(
        self, url: str, content: bytes, *, headers: Mapping[str, str], seconds: float
    ) -> int:
        """Sends bytes to a URL and returns the status of the answer, which is not read.

        Raises:
            OutsideError: it may not be called, or does not answer in time.
        """
        check_url(url)
        try:
            async with (
                asyncio.timeout(seconds),
                self._pool.stream(
                    "POST",
                    url,
                    headers=list(headers.items()),
                    content=content,
                    extensions=_TIMEOUTS,
                ) as response,
            ):
                return response.status
        except (TimeoutError, httpcore2.TimeoutException):
            raise OutsideError(f"did not answer within {seconds:g} s") from None
        except _BROKEN as error:
            raise OutsideError(f"cannot be reached: {error}") from None

    async def close(self) -> None:
        """Ends all connections."""
        await self._pool.aclose()

    async def _get_once(self, url: str, max_bytes: int) -> tuple[bytes | None, str]:
        """Returns what lies at a URL, or nothing and where it leads."""
        check_url(url)
        headers = [("accept-encoding", "identity"), ("user-agent", "telecine")]
        try:
            async with self._pool.stream(
                "GET", url, headers=headers, extensions=_TIMEOUTS
            ) as response:
                if response.status in _REDIRECTS:
                    return None, _target_of(url, response)
                if response.status != 200:
                    raise OutsideError(f"is answered with {response.status}")
                return await _read(response, max_bytes), url
        except (httpcore2.TimeoutException, *_BROKEN) as error:
            raise OutsideError(f"cannot be fetched: {type(error).__name__}") from None


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, checks what came of it, and connects to that."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(  # noqa: PLR0917 (httpcore's signature)
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connects to a host that may be called."""
        _require_host(host, self._hosts)
        addresses = await _resolve(host, port)
        _require_public(addresses, self._hosts)
        return await self._plain.connect_tcp(
            str(addresses[0]), port, timeout, local_address, socket_options
        )


def _require_host(host: str, hosts: frozenset[str]) -> None:
    if hosts and host not in hosts:
        raise OutsideError("is at a host that is not called")


def _require_public(addresses: Iterable[Address], hosts: frozenset[str]) -> None:
    if not hosts and not all(map(is_public, addresses)):
        raise OutsideError("is at an address that is not public")


async def _resolve(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise OutsideError("is at a host that does not exist") from None
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, also where it wraps another one."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(wrapped)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _target_of(url: str, response: httpcore2.Response) -> str:
    """Returns where the answer from a URL leads; `check_url` comes before it is called."""
    try:
        return urljoin(url, _location_of(response))
    except ValueError:
        raise OutsideError("is answered with a redirect to what is not a URL") from None


def _location_of(response: httpcore2.Response) -> str:
    for name, value in response.headers:
        if name.lower() == b"location":
            return value.decode("latin-1")
    raise OutsideError("is answered with a redirect to nowhere")


async def _read(response: httpcore2.Response, max_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_stream():
        content += chunk
        if len(content) > max_bytes:
            raise OutsideError(f"has more than {max_bytes} bytes")
    return bytes(content)
