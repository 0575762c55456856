"""`telecine workers`: who makes the videos, live, and how to send a worker home."""

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf import json_format
from rich.live import Live
from rich.table import Table

from telecine.cli.console import output, plain_table
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect
from telecine.client import Client
from telecine.v1 import worker_pb2

GIB = 1 << 30

app = typer.Typer(help="Show the workers as they work.", invoke_without_command=True)


@app.callback()
def workers(
    context: typer.Context,
    data_dir: DataDirOption,
    server: ServerOption = "",
    once: Annotated[bool, typer.Option("--once", help="Show them as they are, and end.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the workers as they work, until Ctrl-C; on no terminal, as they are now."""
    if context.invoked_subcommand is not None:
        return
    with connect(server, data_dir) as client:
        if json:
            for worker in client.list_workers():
                text = json_format.MessageToJson(worker, preserving_proto_field_name=True)
                output.print_json(text)
        elif once or not output.is_terminal:
            output.print(worker_table(client.list_workers()))
        else:
            _show_live(client)


@app.command()
def drain(
    name: Annotated[str, typer.Argument(help="The worker's name, with or without workers/.")],
    data_dir: DataDirOption,
    server: ServerOption = "",
) -> None:
    """Have a worker finish its slice, hand its videos back and exit."""
    with connect(server, data_dir) as client:
        worker = client.drain_worker(name)
    output.print(f"{worker.name} {_state_words(worker)}")


def worker_table(workers: Iterable[worker_pb2.Worker]) -> Table:
    """Return a table with a row a worker and, below it, one for each more video it holds."""
    table = plain_table("worker", "state", "video", "step", "models", "memory")
    for worker in workers:
        first, *others = worker.assignments or [worker_pb2.Worker.Assignment()]
        table.add_row(
            worker.name,
            _state_words(worker),
            *_progress(first),
            _model_words(worker),
            f"{worker.memory_bytes / GIB:.0f} GiB" if worker.memory_bytes else "",
        )
        for assignment in others:
            table.add_row("", state_word(assignment.state), *_progress(assignment))
    return table


def state_word(state: worker_pb2.Worker.State.ValueType) -> str:
    """`generating` for STATE_GENERATING, and so on."""
    return worker_pb2.Worker.State.Name(state).removeprefix("STATE_").lower()


def _show_live(client: Client) -> None:
    seen: dict[str, worker_pb2.Worker] = {}
    with Live(worker_table([]), console=output, refresh_per_second=10) as live:
        try:
            for worker in client.watch_workers():
                seen[worker.name] = worker
                live.update(worker_table(seen[name] for name in sorted(seen)))
        except KeyboardInterrupt:
            return


def _state_words(worker: worker_pb2.Worker) -> str:
    if not worker.is_alive:
        return "drained" if worker.is_draining and not worker.assignments else "lost"
    return state_word(worker.state) + (", draining" if worker.is_draining else "")


def _progress(assignment: worker_pb2.Worker.Assignment) -> tuple[str, str]:
    if not assignment.video:
        return "", ""
    return assignment.video, f"{assignment.step_index}/{assignment.num_inference_steps}"


def _model_words(worker: worker_pb2.Worker) -> str:
    loaded = set(worker.loaded_models)
    return ", ".join(
        name.removeprefix("models/") + (" (loaded)" if name in loaded else "")
        for name in worker.models
    )
