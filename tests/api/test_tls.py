"""TLS and mTLS on both kinds of server, with certificates that change while they serve."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from certificates import CertificateAuthority, serial_of
from keyed_gateway import KeyedGateway, keyed_gateway

from telecine.api.tls import server_credentials, server_ssl_context
from telecine.auth_settings import TlsSettings
from telecine.client import AsyncClient, Client, TlsOptions, UnavailableError


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


@pytest.fixture
def tls(authority: CertificateAuthority) -> TlsSettings:
    cert, key = authority.issue("server")
    return TlsSettings(cert=cert, key=key)


@asynccontextmanager
async def gateway_with(
    tls: TlsSettings, redis_url: str, folder: Path
) -> AsyncIterator[KeyedGateway]:
    async with keyed_gateway(redis_url, folder, tls=tls.model_dump()) as running:
        yield running


@asynccontextmanager
async def plain_server(tls: TlsSettings) -> AsyncIterator[str]:
    """A server of asyncio's, as the HTTP edge has it."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_ssl_context(tls))
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def serial_at(address: str) -> int:
    host, _, port = address.partition(":")
    certificate = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))
    return serial_of(certificate.encode())


async def who(address: str, key: object, tls: TlsOptions | None) -> str:
    async with AsyncClient(address, api_key=str(key), tls=tls) as client:
        return (await client.get_caller()).tenant


async def test_both_clients_speak_tls(
    redis_url: str, tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings
) -> None:
    async with gateway_with(tls, redis_url, tmp_path) as gateway:
        key, trust = await gateway.make_key(), TlsOptions(ca=authority.file)
        assert await who(gateway.address, key, trust) == "acme"

        def blocking() -> str:
            with Client(gateway.address, api_key=str(key), tls=trust) as client:
                return client.get_caller().tenant

        assert await asyncio.to_thread(blocking) == "acme"


async def test_rest_is_served_with_the_same_certificate(
    redis_url: str, tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings
) -> None:
    mutual = TlsSettings(cert=tls.cert, key=tls.key, client_ca=authority.file)
    context = ssl.create_default_context(cafile=authority.file)
    async with gateway_with(mutual, redis_url, tmp_path) as gateway:
        headers = {"x-api-key": str(await gateway.make_key())}
        async with httpx2.AsyncClient(verify=context, base_url=gateway.http_url) as stranger:
            with pytest.raises(httpx2.TransportError):
                await stranger.get("/v1/videos", headers=headers)
        context.load_cert_chain(*authority.issue("client"))
        async with httpx2.AsyncClient(verify=context, base_url=gateway.http_url) as client:
            assert (await client.get("/v1/videos", headers=headers)).status_code == 200


async def test_no_tls_and_another_authority_are_refused(
    redis_url: str, tmp_path: Path, tls: TlsSettings
) -> None:
    other = CertificateAuthority(tmp_path, "other")
    async with gateway_with(tls, redis_url, tmp_path) as gateway:
        key = await gateway.make_key()
        for wrong in (None, TlsOptions(ca=other.file), TlsOptions()):
            with pytest.raises(UnavailableError):
                await who(gateway.address, key, wrong)


async def test_with_mtls_a_client_shows_a_certificate_of_the_right_authority(
    redis_url: str, tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings
) -> None:
    other = CertificateAuthority(tmp_path, "other")
    mutual = TlsSettings(cert=tls.cert, key=tls.key, client_ca=authority.file)
    good, bad = authority.issue("client"), other.issue("stranger")
    async with gateway_with(mutual, redis_url, tmp_path) as gateway:
        key = await gateway.make_key()
        shown = TlsOptions(ca=authority.file, cert=good[0], key=good[1])
        assert await who(gateway.address, key, shown) == "acme"
        for files in ((None, None), bad):
            with pytest.raises(UnavailableError):
                wrong = TlsOptions(ca=authority.file, cert=files[0], key=files[1])
                await who(gateway.address, key, wrong)


async def test_a_new_certificate_is_shown_to_the_next_connection(
    redis_url: str, tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings
) -> None:
    async with (
        gateway_with(tls, redis_url, tmp_path) as gateway,
        plain_server(tls) as plain,
    ):
        first = serial_of(tls.cert.read_bytes())
        assert [await serial_at(gateway.address), await serial_at(plain)] == [first, first]
        authority.issue("server")
        second = serial_of(tls.cert.read_bytes())
        assert second != first
        for _ in range(2):
            assert [await serial_at(gateway.address), await serial_at(plain)] == [second, second]


async def test_a_half_written_certificate_changes_nothing(
    redis_url: str, tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings
) -> None:
    async with (
        gateway_with(tls, redis_url, tmp_path) as gateway,
        plain_server(tls) as plain,
    ):
        first = serial_of(tls.cert.read_bytes())
        tls.cert.write_bytes(tls.cert.read_bytes()[:100])
        assert [await serial_at(gateway.address), await serial_at(plain)] == [first, first]
        tls.key.unlink()
        assert [await serial_at(gateway.address), await serial_at(plain)] == [first, first]
        authority.issue("server")
        assert await serial_at(gateway.address) == serial_of(tls.cert.read_bytes())


async def test_python_s_own_tls_asks_for_client_certificates_too(
    authority: CertificateAuthority, tls: TlsSettings
) -> None:
    mutual = TlsSettings(cert=tls.cert, key=tls.key, client_ca=authority.file)
    cert, key = authority.issue("client")
    context = ssl.create_default_context(cafile=authority.file)

    async def greeted(address: str) -> bytes:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        try:
            return await reader.read()
        except ssl.SSLError:
            return b""
        finally:
            writer.close()

    async with plain_server(mutual) as address:
        # TLS 1.3 tells a client of it after the handshake, and asyncio as an early end.
        assert await greeted(address) == b""
        context.load_cert_chain(cert, key)
        assert await greeted(address) == b"hello"


@pytest.mark.parametrize("make", [server_credentials, server_ssl_context])
def test_files_that_do_not_fit_stop_the_start(
    tmp_path: Path, authority: CertificateAuthority, tls: TlsSettings, make: Callable[..., object]
) -> None:
    _, other_key = authority.issue("other")
    with pytest.raises(ValueError, match="no certificate and its key"):
        make(TlsSettings(cert=tls.cert, key=other_key))
    with pytest.raises(OSError, match="nowhere"):
        make(TlsSettings(cert=tls.cert, key=tmp_path / "nowhere.pem"))
