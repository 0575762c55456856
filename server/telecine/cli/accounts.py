"""`telecine estimate` and `telecine usage`: what videos would cost, and what they did cost."""

from typing import Annotated

import typer

from telecine.cli.console import output, plain_table, print_json
from telecine.cli.generate import AudioOption, checked_options, parse_audio, parse_size, parse_tier
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect
from telecine.v1 import usage_pb2

MICROS = 1_000_000
MIB = 1 << 20


def estimate(
    prompt: Annotated[str, typer.Argument(help="What the video should show.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
    model: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    duration: Annotated[float | None, typer.Option(help="Length in seconds.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    tier: Annotated[str | None, typer.Option(help="realtime, premium, standard or batch.")] = None,
    audio: AudioOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a video would cost; it is not made."""
    given: dict[str, object] = {
        "model": model,
        "duration_seconds": duration,
        "fps": fps,
        "size": parse_size(size) if size else None,
        "tier": parse_tier(tier) if tier else None,
        "audio_mode": parse_audio(audio) if audio else None,
    }
    options = checked_options(prompt, given)
    with connect(server, data_dir) as client:
        cost = client.estimate_cost(prompt, **options)
    if json:
        print_json(cost)
        return
    spec = cost.spec
    made = f"{cost.num_frames} frames of {spec.size.width}x{spec.size.height} at {spec.fps} fps"
    output.print(f"{_credits(cost.microcredits)} credits: {made}, {spec.model}", highlight=False)
    if cost.HasField("available_microcredits"):
        output.print(f"{_credits(cost.available_microcredits)} credits are left", highlight=False)


def usage(
    data_dir: DataDirOption,
    server: ServerOption = "",
    tenant: Annotated[str, typer.Option(help="Whose; takes the admin scope. Default: own.")] = "",
    entries: Annotated[
        int, typer.Option(min=0, max=1000, help="How many lines of the ledger to show.")
    ] = 10,
    json: JsonOption = False,
) -> None:
    """Show what is used, what is left, and the newest lines of the ledger."""
    with connect(server, data_dir) as client:
        used = client.get_usage(tenant)
        newest = [
            entry
            for entry, _ in zip(
                client.list_ledger(tenant, page_size=max(1, entries)), range(entries), strict=False
            )
        ]
    if json:
        for message in (used, *newest):
            print_json(message)
        return
    _print_usage(used)
    _print_ledger(newest)


def _print_usage(used: usage_pb2.Usage) -> None:
    table = plain_table("", "used", "limit")
    for name, period in (("today", used.day), ("this month", used.month)):
        has_limit = period.HasField("limit_microcredits")
        limit = _credits(period.limit_microcredits) if has_limit else ""
        table.add_row(name, _credits(period.used_microcredits), limit)
    table.add_row("reserved", _credits(used.reserved_microcredits), "")
    table.add_row("spent", _credits(used.spent_microcredits), "")
    table.add_row("open videos", str(used.num_open_videos), "")
    table.add_row("stored", f"{used.stored_bytes / MIB:.1f} MiB", "")
    output.print(table)


def _print_ledger(entries: list[usage_pb2.LedgerEntry]) -> None:
    table = plain_table("time", "kind", "credits", "video")
    for entry in entries:
        time = f"{entry.entry_time.ToDatetime():%Y-%m-%d %H:%M:%S}"
        kind = usage_pb2.LedgerEntry.Kind.Name(entry.kind).removeprefix("KIND_").lower()
        table.add_row(time, kind, _credits(entry.amount_microcredits), entry.video)
    output.print(table)


def _credits(microcredits: int) -> str:
    return f"{microcredits / MICROS:.6f}"
