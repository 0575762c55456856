"""Where commands write: what they tell goes to standard error, what they answer to output."""

from datetime import UTC

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Standard output carries results alone, so that a script can read them.
console = Console(stderr=True)
output = Console()


def tell_error(error: object) -> None:
    """Say why a command ends; a long line is not broken, so that it can be searched and copied."""
    console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)


def plain_table(*columns: str) -> Table:
    """Make a table without lines; a long value goes on below, nothing of it is cut off."""
    table = Table(box=None, show_header=any(columns))
    for column in columns:
        # What comes first is what people copy.
        table.add_column(column, overflow="fold", no_wrap=not table.columns)
    return table


def local_time(timestamp: Timestamp) -> str:
    """Write an instant as the clock on the wall shows it."""
    return timestamp.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_json(message: Message) -> None:
    """Write a resource as scripts read it, its fields named as in the contract."""
    output.print_json(json_format.MessageToJson(message, preserving_proto_field_name=True))
