"""`telecine media`: sends, shows and removes what videos can be made from."""

from pathlib import Path
from typing import Annotated

import typer

from telecine.cli.console import console, local_time, output, plain_table, print_json
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect

app = typer.Typer(help="Send, show and remove uploads.", no_args_is_help=True)


@app.command()
def upload(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
    content_type: Annotated[
        str | None, typer.Option("--type", help="Its media type. Default: by the file's name.")
    ] = None,
) -> None:
    """Send a picture, a video or a sound track, and print the name that requests take."""
    with connect(server, data_dir) as client:
        try:
            media = client.upload_media(path, content_type=content_type)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--type") from error
    output.print(media.name, highlight=False, soft_wrap=True)


@app.command("list")
def show(
    data_dir: DataDirOption,
    server: ServerOption = "",
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    json: JsonOption = False,
) -> None:
    """List uploads, newest first."""
    with connect(server, data_dir) as client:
        found = zip(range(limit), client.list_media(page_size=min(limit, 1000)), strict=False)
        uploads = [media for _, media in found]
    if json:
        for media in uploads:
            print_json(media)
        return
    if not uploads:
        console.print("no uploads")
        return
    table = plain_table("name", "type", "bytes", "sent", "kept until")
    for media in uploads:
        sent, end = local_time(media.create_time), local_time(media.expire_time)
        table.add_row(media.name, media.content_type, f"{media.size_bytes:,}", sent, end)
    output.print(table)


@app.command()
def delete(
    name: Annotated[str, typer.Argument(help="The upload's name, with or without media/.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
) -> None:
    """Remove an upload; a video that waits to be made from it will fail."""
    with connect(server, data_dir) as client:
        client.delete_media(name)
    output.print(f"media/{name.removeprefix('media/')} deleted", highlight=False, soft_wrap=True)
