"""Options that several commands share, and how a command finds its server."""

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from telecine.client import Client, TelecineClientError, TlsOptions
from telecine.client.credentials import default_data_folder, find_api_key
from telecine.local.data_folder import DataFolder

PROBE_SECONDS = 2.0

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="TELECINE_SERVER",
        help="The gateway's host:port. Default: the one that `telecine up` started.",
    ),
]
DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="TELECINE_DATA_DIR",
        help="Where jobs, videos, logs and ports are kept.",
        default_factory=default_data_folder,
        show_default="~/.local/share/telecine",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ApiKeyOption = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="TELECINE_API_KEY",
        show_envvar=True,
        help="The API key or access token. Others see it here: rather use the environment. "
        "Default: the key that `telecine up` made.",
    ),
]
TlsOption = Annotated[bool, typer.Option("--tls", help="Speak TLS with the gateway.")]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        exists=True,
        dir_okay=False,
        help="Believe this CA's certificates alone, in PEM; means --tls.",
    ),
]
CertOption = Annotated[
    Path | None,
    typer.Option(
        "--cert",
        exists=True,
        dir_okay=False,
        help="This machine's certificate, in PEM; means --tls.",
    ),
]
CertKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--cert-key", exists=True, dir_okay=False, help="The private key of --cert, in PEM."
    ),
]
NameArgument = Annotated[str, typer.Argument(help="The video's name, with or without videos/.")]


@dataclass(frozen=True)
class ConnectionOptions:
    """How every command reaches its server; given before the command's name."""

    api_key: str = ""
    tls: TlsOptions | None = None


_connection: ContextVar[ConnectionOptions] = ContextVar("connection")


def connection_options(
    api_key: ApiKeyOption = "",
    tls: TlsOption = False,
    ca: CaOption = None,
    cert: CertOption = None,
    cert_key: CertKeyOption = None,
) -> None:
    """Telecine makes videos from prompts."""
    is_tls = tls or ca is not None or cert is not None
    tls_options = TlsOptions(ca=ca, cert=cert, key=cert_key) if is_tls else None
    _connection.set(ConnectionOptions(api_key, tls_options))


def prepare_target(path: Path) -> None:
    """Make the folder that a file is to go to, before anything is made or fetched for it.

    Raises:
        typer.BadParameter: a file cannot go there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(escape(str(error)), param_hint="--output") from error
    if path.is_dir():
        raise typer.BadParameter(escape(f"{path} is a folder"), param_hint="--output")


def find_server(server: str, data_dir: Path) -> str | None:
    """Return the address of the server to use; None where no local one answers."""
    if server:
        return server
    address_file = DataFolder(data_dir).address
    address = address_file.read_text().strip() if address_file.exists() else ""
    return address if address and _answers(address, data_dir) else None


def connect(server: str, data_dir: Path) -> Client:
    """Return a client of the server to use.

    Raises:
        typer.BadParameter: none is given and none runs here.
    """
    address = find_server(server, data_dir)
    if address is None:
        raise typer.BadParameter(
            escape("no server runs here: start one with `telecine up`, or give --server")
        )
    return open_client(address, data_dir)


def open_client(address: str, data_dir: Path, *, timeout_seconds: float = 30.0) -> Client:
    """Return a client with the key given, or that of the data folder whose gateway this is."""
    options = _connection.get()
    return Client(
        address,
        api_key=options.api_key or find_api_key(address, data_dir),
        tls=options.tls,
        timeout_seconds=timeout_seconds,
    )


def _answers(address: str, data_dir: Path) -> bool:
    with open_client(address, data_dir, timeout_seconds=PROBE_SECONDS) as client:
        try:
            client.list_models()
        except TelecineClientError as error:
            # A gateway that answers with an error of its own is there all the same.
            return bool(error.reason)
        return True
