"""What a client shows of itself, and how it trusts the server."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

# What `telecine up` leaves in its data folder for the clients of this machine.
ADDRESS_FILE = "gateway.address"
API_KEY_FILE = "api.key"

# A function is asked before every call: for access tokens, which are renewed.
ApiKey: TypeAlias = str | Callable[[], str]


@dataclass(frozen=True)
class TlsOptions:
    """TLS to the server; files are PEM.

    Attributes:
        ca: whose certificates are believed; None for the well-known roots.
        cert: the client's own certificate, where the server asks for one, with its `key`.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return these options as gRPC takes them.

        Raises:
            OSError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca),
            private_key=_read(self.key),
            certificate_chain=_read(self.cert),
        )


def default_data_folder() -> Path:
    """Return where a person's service lies when nothing else is said."""
    return Path.home() / ".local" / "share" / "telecine"


def find_api_key(address: str, data_dir: Path | None = None) -> str:
    """Return `TELECINE_API_KEY`, else the key of the `telecine up` at that address, else nothing.

    The key of a data folder is for the gateway of that folder: it is not shown to another one.
    """
    if key := os.environ.get("TELECINE_API_KEY", ""):
        return key
    folder = data_dir or Path(os.environ.get("TELECINE_DATA_DIR") or default_data_folder())
    try:
        if (folder / ADDRESS_FILE).read_text().strip() != address:
            return ""
        return (folder / API_KEY_FILE).read_text().strip()
    except OSError:
        return ""


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
