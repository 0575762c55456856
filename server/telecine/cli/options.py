"""Options that several commands share, and how a command finds its server."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from telecine.client import Client, TelecineClientError
from telecine.local.data_folder import DataFolder, default_data_folder

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
NameArgument = Annotated[str, typer.Argument(help="The video's name, with or without videos/.")]


def find_server(server: str, data_dir: Path) -> str | None:
    """Return the address of the server to use; None where no local one answers."""
    if server:
        return server
    address_file = DataFolder(data_dir).address
    address = address_file.read_text().strip() if address_file.exists() else ""
    return address if address and _answers(address) else None


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
    return Client(address)


def _answers(address: str) -> bool:
    with Client(address, timeout_seconds=PROBE_SECONDS) as client:
        try:
            client.list_models()
        except TelecineClientError as error:
            # A gateway that answers with an error of its own is there all the same.
            return bool(error.reason)
        return True
