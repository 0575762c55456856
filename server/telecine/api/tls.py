"""TLS of both edges from the same files, which are read again when they change."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import structlog

from telecine.auth_settings import TlsSettings

_log = structlog.get_logger(__name__)
T = TypeVar("T")
_Stamp = tuple[tuple[int, int, int], ...]


def server_credentials(settings: TlsSettings) -> grpc.ServerCredentials:
    """Returns what a gRPC server is bound with; each new connection gets the newest certificate.

    Raises:
        OSError: a file cannot be read.
        ValueError: certificate and key do not fit together.
    """
    configuration = _Reloaded(settings, _read_configuration)
    return grpc.dynamic_ssl_server_credentials(
        configuration.newest(),
        configuration.newest,
        require_client_authentication=settings.client_ca is not None,
    )


def server_ssl_context(settings: TlsSettings) -> ssl.SSLContext:
    """Returns the same for a server on Python's own TLS; it too gives out the newest certificate.

    Raises:
        OSError: a file cannot be read.
        ValueError: certificate and key do not fit together.
    """
    contexts = _Reloaded(settings, _read_context)

    def take_newest(connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts.newest()

    first = contexts.newest()
    first.sni_callback = take_newest  # called in every handshake, with a name or without
    return first


class _Reloaded(Generic[T]):
    """What `read` makes of the files, made anew when one of them was replaced: three stat calls."""

    def __init__(self, settings: TlsSettings, read: Callable[[TlsSettings], T]) -> None:
        self._settings = settings
        self._read = read
        files = (settings.cert, settings.key, settings.client_ca)
        self._files = [file for file in files if file is not None]
        self._seen = self._stamp()
        self._newest = read(settings)

    def newest(self) -> T:
        """Returns the newest that works."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._newest = self._read(self._settings)
                self._seen = stamp
                _log.info("certificate_reloaded")
        except (OSError, ValueError) as error:  # half written, say: the next connection tries again
            _log.warning("certificate_not_reloaded", reason=str(error))
        return self._newest

    def _stamp(self) -> _Stamp:
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)


def _read_configuration(settings: TlsSettings) -> grpc.ServerCertificateConfiguration:
    _read_context(settings)  # gRPC would only fail each handshake
    return grpc.ssl_server_certificate_configuration(
        [(settings.key.read_bytes(), settings.cert.read_bytes())],
        None if settings.client_ca is None else settings.client_ca.read_bytes(),
    )


def _read_context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, settings.cert, settings.key)
    if settings.client_ca is not None:
        context.load_verify_locations(cafile=settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:  # an OSError too, but of what is in the files
        raise ValueError(f"{cert} and {key} are no certificate and its key: {error}") from error
