"""`telecine gateway` and `telecine worker`: one process each, as a cluster runs them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop

from telecine.cli.console import tell_error

if TYPE_CHECKING:
    from telecine.config import Settings

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="A TOML file; TELECINE_... in the environment wins over it."),
]


def gateway(settings: SettingsOption = None) -> None:
    """Run a gateway, which clients speak to."""
    # The client needs none of it.
    from telecine.api.auth.authenticator import UnsafeAddressError  # noqa: PLC0415
    from telecine.api.gateway import run_gateway  # noqa: PLC0415

    loaded = _start(settings, service="gateway")
    try:
        uvloop.run(run_gateway(loaded))
    except UnsafeAddressError as error:
        tell_error(error)
        raise typer.Exit(1) from error


def worker(settings: SettingsOption = None) -> None:
    """Run a worker, which makes videos with the Triton server beside it."""
    from telecine.worker.worker_process import run_worker  # noqa: PLC0415 - as above

    uvloop.run(run_worker(_start(settings, service="worker")))


def _start(file: Path | None, *, service: str) -> "Settings":
    """Read the settings and set up the log, as they say."""
    from pydantic_settings import SettingsError  # noqa: PLC0415 - as above

    from telecine.config import load_settings  # noqa: PLC0415 - as above
    from telecine.observability.log import configure_logging  # noqa: PLC0415

    try:
        settings = load_settings(file)
    except SettingsError as error:
        tell_error(error)
        raise typer.Exit(1) from error
    configure_logging(service=service, level=settings.log.level)
    return settings
