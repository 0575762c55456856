"""What callers point to by URL is fetched from public addresses alone."""

import asyncio
import gzip
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import CertificateAuthority

from telecine.api import guarded_client
from telecine.api.guarded_client import GuardedClient, OutsideError, check_url, is_public

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """A server on this machine that answers each connection once; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(text: str) -> Answer:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode())
        await writer.drain()

    return answer


@asynccontextmanager
async def opened(*hosts: str) -> AsyncIterator[GuardedClient]:
    client = GuardedClient(hosts)
    try:
        yield client
    finally:
        await client.close()


PICTURE = saying("HTTP/1.1 200 OK\ncontent-length: 7\nconnection: close\n\npicture")


async def test_listed_host_is_fetched_from() -> None:
    async with serving(PICTURE) as port, opened("127.0.0.1") as client:
        url = f"http://127.0.0.1:{port}/a.png"
        assert await client.get(url, max_bytes=7, seconds=5) == b"picture"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST.", "2130706433", "0177.0.0.1", "0x7f.1", "0x7f000001",
        "127.1", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ],
)  # fmt: skip
async def test_own_network_is_refused_under_every_name(host: str) -> None:
    async with serving(PICTURE) as port, opened() as client:
        url = f"http://{host}:{port}/"
        with pytest.raises(OutsideError, match=r"not public|does not exist"):
            await client.get(url, max_bytes=7, seconds=5)
        with pytest.raises(OutsideError, match=r"not public|does not exist"):
            await client.post(url, b"", headers={}, seconds=5)


async def test_tls_that_breaks_after_its_handshake_is_an_answer_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of TLS 1.3 that asks for a certificate says so to who has none only then."""
    authority = CertificateAuthority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    context.load_cert_chain(*authority.issue("server"))
    context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server, opened("127.0.0.1") as client:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(OutsideError, match="cannot be reached"):
            await client.post(url, b"", headers={}, seconds=5)
        with pytest.raises(OutsideError, match="cannot be fetched"):
            await client.get(url, max_bytes=7, seconds=5)


async def test_host_that_is_not_listed_is_refused() -> None:
    async with serving(PICTURE) as port, opened("example.com") as client:
        with pytest.raises(OutsideError, match="not called"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=7, seconds=5)


async def test_name_with_a_private_address_among_others_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def both(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both, raising=False)
    async with opened() as client:
        with pytest.raises(OutsideError, match="not public"):
            await client.get("http://two.example/", max_bytes=7, seconds=5)


async def test_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def count(host: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1" if host == "pictures.example" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", count)
    async with serving(PICTURE) as port, opened("pictures.example") as client:
        await client.get(f"http://pictures.example:{port}/", max_bytes=7, seconds=5)
    assert asked.count("pictures.example") == 1


async def test_redirect_is_followed_where_it_may_lead() -> None:
    async with serving(PICTURE) as port:
        to_picture = saying(
            f"HTTP/1.1 302 Found\nlocation: http://127.0.0.1:{port}/b\nconnection: close\n\n"
        )
        async with serving(to_picture) as first, opened("127.0.0.1") as client:
            url = f"http://127.0.0.1:{first}/a"
            assert await client.get(url, max_bytes=7, seconds=5) == b"picture"


@pytest.mark.parametrize(
    "target",
    ["http://localhost/", "file:///etc/passwd", "gopher://x/", "http://[", "//[", "http://x:y/"],
)
async def test_redirect_to_where_none_may_lead_is_refused(target: str) -> None:
    leading = saying(f"HTTP/1.1 302 Found\nlocation: {target}\nconnection: close\n\n")
    async with serving(leading) as port, opened("127.0.0.1") as client:
        with pytest.raises(OutsideError, match=r"not called|not an http|not a URL"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=7, seconds=5)


@pytest.fixture
def own_machine_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the servers of a test were somewhere on the Internet."""
    loopback = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(
        guarded_client, "is_public", lambda address: address == loopback or is_public(address)
    )


@pytest.mark.parametrize("target", ["169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:10.0.0.1]"])
async def test_redirect_from_the_internet_to_a_private_address_is_refused(
    own_machine_is_public: None, target: str
) -> None:
    leading = saying(f"HTTP/1.1 302 Found\nlocation: http://{target}/\nconnection: close\n\n")
    async with serving(leading) as port, opened() as client:
        with pytest.raises(OutsideError, match="not public"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=7, seconds=5)


async def test_name_that_is_bound_to_another_address_later_is_checked_anew(
    own_machine_is_public: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])

    async def rebind(_: Any, port: int, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (next(answers), port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebind, raising=False)
    async with serving(PICTURE) as port, opened() as client:
        url = f"http://rebound.example:{port}/"
        assert await client.get(url, max_bytes=7, seconds=5) == b"picture"
        with pytest.raises(OutsideError, match="not public"):
            await client.get(url, max_bytes=7, seconds=5)


async def test_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(10_000_000))

    async def packed(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")
        writer.write(bomb)
        await writer.drain()

    async with serving(packed) as port, opened("127.0.0.1") as client:
        url = f"http://127.0.0.1:{port}/"
        assert await client.get(url, max_bytes=len(bomb), seconds=5) == bomb


async def test_endless_redirects_end() -> None:
    around = saying("HTTP/1.1 302 Found\nlocation: /again\nconnection: close\n\n")
    async with serving(around) as port, opened("127.0.0.1") as client:
        with pytest.raises(OutsideError, match="redirects"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=7, seconds=5)


async def test_answer_that_is_too_large_is_not_read_on() -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(endless) as port, opened("127.0.0.1") as client:
        with pytest.raises(OutsideError, match="more than 100000 bytes"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=100_000, seconds=20)


async def test_answer_that_does_not_come_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port, opened("127.0.0.1") as client:
        with pytest.raises(OutsideError, match=r"within 0\.2 s"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=7, seconds=0.2)


async def test_status_of_an_answer_is_told() -> None:
    missing = saying("HTTP/1.1 404 Not Found\ncontent-length: 0\nconnection: close\n\n")
    async with serving(missing) as port, opened("127.0.0.1") as client:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(OutsideError, match="404"):
            await client.get(url, max_bytes=7, seconds=5)
        assert await client.post(url, b"{}", headers={}, seconds=5) == 404


@pytest.mark.parametrize(
    "url",
    [
        "", "a", "ftp://x/", "http://", "http:///a", "http://u:p@x/", "http://x:99999/", "http://[",
        "http://x/ y", "http://x/\r\ny", "http://x/" + "y" * 2048, "http://é/", "file:///etc",
    ],
)  # fmt: skip
def test_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(OutsideError):
        check_url(url)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://[::1]:8443/told"])
async def test_address_that_is_never_called_is_known_before_any_call(url: str) -> None:
    client = GuardedClient()
    with pytest.raises(OutsideError, match="not public"):
        client.require_callable(url)
    client.require_callable("https://example.com/told")
    await client.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:1:2:3:4:5:6",
    ],
)  # fmt: skip
def test_address_of_no_public_network_is_known(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
