"""`telecine gateway` and `telecine worker`: one process each, as a cluster runs them."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.markup import escape

from telecine.cli.console import console
from telecine.config import load_settings
from telecine.observability.log import configure_logging

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="A TOML file; TELECINE_... in the environment wins over it."),
]


def gateway(settings: SettingsOption = None) -> None:
    """Run a gateway, which clients speak to."""
    # The client needs none of it.
    from telecine.api.auth.authenticator import UnsafeAddressError  # noqa: PLC0415
    from telecine.api.gateway import run_gateway  # noqa: PLC0415

    loaded = load_settings(settings)
    configure_logging(service="gateway", level=loaded.log.level)
    try:
        uvloop.run(run_gateway(loaded))
    except UnsafeAddressError as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def worker(settings: SettingsOption = None) -> None:
    """Run a worker, which makes videos with the Triton server beside it."""
    from telecine.worker.worker_process import run_worker  # noqa: PLC0415 - as above

    loaded = load_settings(settings)
    configure_logging(service="worker", level=loaded.log.level)
    uvloop.run(run_worker(loaded))
