"""`telecine keys`: makes, shows and revokes API keys."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from rich.markup import escape

from telecine.cli.console import console, output, plain_table, print_json, tell_error
from telecine.cli.generate import parse_labels, parse_tier
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect
from telecine.errors import TelecineError
from telecine.v1 import account_pb2

DEFAULT_SCOPES = ("videos:read", "videos:write")

app = typer.Typer(help="Make, show and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    data_dir: DataDirOption,
    server: ServerOption = "",
    display_name: Annotated[str, typer.Option("--name", help="What people call it.")] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do, any number. Default: {', '.join(DEFAULT_SCOPES)}."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose it is. Default: the caller's own.")] = "",
    tier: Annotated[
        list[str] | None,
        typer.Option(help="The tiers it may use, the default first. Default: all."),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0.0, help="Days until it ends. Default: as its maker does.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, any number.")] = None,
    json: JsonOption = False,
) -> None:
    """Make a key and print it, this once."""
    key = account_pb2.ApiKey(
        display_name=display_name,
        tenant=tenant,
        scopes=scope or DEFAULT_SCOPES,
        tiers=[parse_tier(word) for word in tier or ()],
        labels=parse_labels(label or []),
    )
    if days is not None:
        key.expire_time.FromDatetime(datetime.now(tz=UTC) + timedelta(days=days))
    with connect(server, data_dir) as client:
        made = client.create_api_key(key)
    if json:
        print_json(made)
        return
    console.print(f"[green]made[/] {made.name}; the key is shown this once:", highlight=False)
    output.print(made.secret, highlight=False, soft_wrap=True)


@app.command("list")
def show(
    data_dir: DataDirOption,
    server: ServerOption = "",
    tenant: Annotated[str, typer.Option(help="Whose; - for all. Default: the caller's.")] = "",
    json: JsonOption = False,
) -> None:
    """List the keys that are not revoked."""
    with connect(server, data_dir) as client:
        keys = list(client.list_api_keys(tenant))
    if json:
        for key in keys:
            print_json(key)
        return
    table = plain_table("name", "called", "tenant", "scopes", "last use", "ends")
    for key in keys:
        table.add_row(
            key.name,
            escape(key.display_name),
            key.tenant,
            "\n".join(key.scopes),
            _day(key.last_use_time) if key.HasField("last_use_time") else "never",
            _day(key.expire_time) if key.HasField("expire_time") else "never",
        )
    output.print(table)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name, with or without apiKeys/.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
) -> None:
    """End a key for good, at once."""
    with connect(server, data_dir) as client:
        key = client.revoke_api_key(name)
    output.print(f"{key.name} revoked", highlight=False)


@app.command()
def bootstrap(
    settings: Annotated[
        Path | None, typer.Option("--settings", help="The gateway's TOML file.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose it is.")] = "default",
) -> None:
    """Make a key with every scope, straight in Redis: the first one of a new cluster."""
    # The gateway's modules take a second to import, and all other commands ask the gateway itself.
    from pydantic_settings import SettingsError  # noqa: PLC0415

    from telecine.config import load_settings  # noqa: PLC0415
    from telecine.local.operator_key import make_operator_key  # noqa: PLC0415

    try:
        secret = make_operator_key(load_settings(settings).redis.url, tenant=tenant)
    except (TelecineError, SettingsError) as error:
        tell_error(error)
        raise typer.Exit(1) from error
    output.print(secret, highlight=False, soft_wrap=True)


def _day(time: Timestamp) -> str:
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d")
