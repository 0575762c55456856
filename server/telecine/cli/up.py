"""`telecine up`: the whole service on this machine."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from telecine.cli.console import console, tell_error
from telecine.cli.options import DataDirOption
from telecine.errors import TelecineError
from telecine.local.data_folder import AlreadyRunningError, DataFolder
from telecine.local.stop_signals import StopRequestedError, StopSignals

if TYPE_CHECKING:
    from telecine.local.local_service import LocalOptions, LocalService

# Of the checkout that this package is installed from.
MODEL_REPOSITORY = Path(__file__).resolve().parents[3] / "model_repository"

PortOption = Annotated[
    int | None,
    typer.Option("--port", min=1, max=65535, help="The gateway's port. Default: the last one."),
]
HttpPortOption = Annotated[
    int | None,
    typer.Option("--http-port", min=1, max=65535, help="The same for its HTTP edge."),
]
ModelRepositoryOption = Annotated[
    Path,
    typer.Option(
        "--model-repository",
        help="What the Triton server loads.",
        show_default=False,
        exists=True,
        file_okay=False,
    ),
]


def up(
    data_dir: DataDirOption,
    port: PortOption = None,
    http_port: HttpPortOption = None,
    model_repository: ModelRepositoryOption = MODEL_REPOSITORY,
) -> None:
    """Start Redis, Triton, a worker and a gateway; Ctrl-C stops them."""
    options = local_options(port, model_repository, http_port=http_port)
    with StopSignals() as signals:
        try:
            with running_service(data_dir, options, signals=signals) as service:
                console.print("[green]Telecine is up.[/] Ctrl-C stops it.")
                for name, address in _addresses(service, data_dir).items():
                    console.print(f"  {name:<8}{address}", highlight=False, soft_wrap=True)
                while True:
                    signal.pause()
        except StopRequestedError:
            console.print("stopped")


def local_options(
    port: int | None, model_repository: Path, *, http_port: int | None = None
) -> "LocalOptions":
    """Return the options of a service that uses this machine's cores."""
    # What a service needs takes seconds to import, and most commands start none.
    from telecine.local.local_service import LocalOptions  # noqa: PLC0415

    return LocalOptions(
        model_repository=model_repository,
        gateway_port=port,
        http_port=http_port,
        num_threads=len(os.sched_getaffinity(0)),
    )


@contextmanager
def running_service(
    data_dir: Path, options: "LocalOptions", *, signals: StopSignals
) -> "Iterator[LocalService]":
    """Run a service, say what happens, and end the program where it cannot start."""
    from telecine.local.local_service import StartError, local_service  # noqa: PLC0415 - as above

    status = console.status("starting Redis, Triton, a worker and a gateway")
    folder = DataFolder(data_dir.resolve())
    status.start()
    try:
        with local_service(folder, options, signals=signals, report=_report) as service:
            status.stop()
            yield service
            status.update("stopping")
            status.start()
    except (AlreadyRunningError, StartError, TelecineError, OSError) as error:
        status.stop()
        tell_error(error)
        raise typer.Exit(1) from error
    finally:
        status.stop()


def _report(message: str) -> None:
    console.print(f"[dim]{escape(message)}[/]", highlight=False)


def _addresses(service: "LocalService", data_dir: Path) -> dict[str, str]:
    return {
        "gateway": service.address,
        "http": service.http_url,
        "triton": service.triton_url,
        "redis": service.redis_url,
        "key": str(DataFolder(data_dir.resolve()).api_key),
        "data": str(data_dir.resolve()),
    }
