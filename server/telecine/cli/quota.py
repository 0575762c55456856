"""`telecine quota`: what a tenant may use."""

from typing import Annotated

import typer

from telecine.cli.accounts import MIB, MICROS
from telecine.cli.console import output, plain_table, print_json
from telecine.cli.generate import parse_tier
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect
from telecine.v1 import usage_pb2, video_pb2

NO_LIMIT = -1

app = typer.Typer(help="Show and set what a tenant may use.", no_args_is_help=True)


@app.command("get")
def show(
    data_dir: DataDirOption,
    server: ServerOption = "",
    tenant: Annotated[str, typer.Option(help="Whose; takes the admin scope. Default: own.")] = "",
    json: JsonOption = False,
) -> None:
    """Show what a tenant may use."""
    with connect(server, data_dir) as client:
        quota = client.get_quota(tenant)
    _print(quota, json=json)


@app.command("set")
def change(
    tenant: Annotated[str, typer.Argument(help="Whose.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
    monthly_credits: Annotated[
        float | None, typer.Option(min=-1, help="That videos of a month may cost.")
    ] = None,
    daily_credits: Annotated[
        float | None, typer.Option(min=-1, help="That videos of a day may cost.")
    ] = None,
    max_open_videos: Annotated[
        int | None, typer.Option(min=-1, help="Videos that have not ended.")
    ] = None,
    max_stored_mib: Annotated[
        float | None, typer.Option(min=-1, help="Size of all its files in MiB.")
    ] = None,
    credits_per_second: Annotated[
        float | None, typer.Option(min=-1, help="That may be reserved, on average.")
    ] = None,
    requests_per_second: Annotated[
        int | None, typer.Option(min=-1, help="Calls, on average.")
    ] = None,
    tier: Annotated[
        list[str] | None, typer.Option(help="The tiers it may ask for, the default first.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Set those numbers that are given; -1 is no limit. Takes the admin scope."""
    quota = usage_pb2.Quota(
        monthly_microcredits=_scaled(monthly_credits, MICROS),
        daily_microcredits=_scaled(daily_credits, MICROS),
        max_open_videos=max_open_videos,
        max_stored_bytes=_scaled(max_stored_mib, MIB),
        microcredits_per_second=_scaled(credits_per_second, MICROS),
        requests_per_second=requests_per_second,
        tiers=[parse_tier(word) for word in tier or ()],
    )
    if not quota.ListFields():
        raise typer.BadParameter("name at least one number to set")
    with connect(server, data_dir) as client:
        _print(client.update_quota(tenant, quota), json=json)


def _scaled(number: float | None, unit: int) -> int | None:
    if number is None:
        return None
    return NO_LIMIT if number == NO_LIMIT else round(number * unit)


def _print(quota: usage_pb2.Quota, *, json: bool) -> None:
    if json:
        print_json(quota)
        return
    table = plain_table("", "limit")
    table.add_row("credits a month", _shown(quota.monthly_microcredits, MICROS))
    table.add_row("credits a day", _shown(quota.daily_microcredits, MICROS))
    table.add_row("open videos", _shown(quota.max_open_videos))
    table.add_row("stored MiB", _shown(quota.max_stored_bytes, MIB))
    table.add_row("credits a second", _shown(quota.microcredits_per_second, MICROS))
    table.add_row("requests a second", _shown(quota.requests_per_second))
    tiers = [video_pb2.Tier.Name(tier).removeprefix("TIER_").lower() for tier in quota.tiers]
    table.add_row("tiers", ", ".join(tiers))
    output.print(table)


def _shown(number: int, unit: int = 1) -> str:
    return "none" if number == NO_LIMIT else f"{number / unit:g}"
