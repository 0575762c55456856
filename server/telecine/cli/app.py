"""All commands put together."""

import sys

import typer

from telecine.cli import (
    accounts,
    doctor,
    generate,
    keys,
    media,
    models,
    processes,
    quota,
    up,
    videos,
    workers,
)
from telecine.cli.console import tell_error
from telecine.cli.options import connection_options
from telecine.client import TelecineClientError

app = typer.Typer(
    callback=connection_options,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

app.command("up")(up.up)
app.command("generate")(generate.generate)
app.command("get")(videos.get)
app.command("list")(videos.list_videos)
app.command("watch")(videos.watch)
app.command("cancel")(videos.cancel)
app.command("pause")(videos.pause)
app.command("resume")(videos.resume)
app.command("delete")(videos.delete)
app.command("download")(videos.download)
app.command("estimate")(accounts.estimate)
app.command("usage")(accounts.usage)
app.add_typer(models.app, name="models")
app.add_typer(workers.app, name="workers")
app.add_typer(keys.app, name="keys")
app.add_typer(quota.app, name="quota")
app.add_typer(media.app, name="media")
app.command("doctor")(doctor.doctor)
app.command("gateway")(processes.gateway)
app.command("worker")(processes.worker)


def main() -> None:
    """Run the command line; what the service or the system refuses is told in one line."""
    try:
        app()
    except TelecineClientError as error:
        reason = f" ({error.reason})" if error.reason else ""
        tell_error(f"{error.message}{reason}")
        sys.exit(1)
    except OSError as error:
        tell_error(error)
        sys.exit(1)
