"""`telecine models`: what there is, and how models are added, verified and removed."""

import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from telecine.cli.console import console, output, plain_table, print_json, tell_error
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect, find_server
from telecine.cli.up import MODEL_REPOSITORY
from telecine.client import Client, NotFoundError, VideoFilter
from telecine.local.data_folder import DataFolder
from telecine.local.model_adding import (
    Addition,
    ModelAdditionError,
    add_model,
    added_names,
    read_card,
    remove_roles,
    retire_model,
    this_machine_target,
    verify_model,
)
from telecine.v1 import model_pb2, video_pb2

LOAD_WORDS = ("full", "offload", "disk", "int8", "fp8")
TARGET_WORDS = ("cpu", "cuda", "tensorrt")
MAX_RANKS = 64
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.5
GIB = 1 << 30

app = typer.Typer(help="Show, add, verify and remove models.", invoke_without_command=True)

ModelNameArgument = Annotated[str, typer.Argument(help="The model's name, such as wan.")]
TensorParallelOption = Annotated[
    int, typer.Option(min=1, max=MAX_RANKS, help="GPUs that share each layer of the denoiser.")
]
SequenceParallelOption = Annotated[
    int, typer.Option(min=1, max=MAX_RANKS, help="GPUs that share a video's tokens.")
]
GuidanceParallelOption = Annotated[
    bool,
    typer.Option("--guidance-parallel", help="Prompt and negative prompt on GPUs of their own."),
]


@app.callback()
def models(
    context: typer.Context,
    data_dir: DataDirOption,
    server: ServerOption = "",
    json: JsonOption = False,
) -> None:
    """List the models with their limits."""
    if context.invoked_subcommand is None:
        show(data_dir, server=server, json=json)


@app.command("list")
def show(data_dir: DataDirOption, server: ServerOption = "", json: JsonOption = False) -> None:
    """List the models with their limits; without a server, those that were added here."""
    folder = DataFolder(data_dir)
    if server or find_server(server, data_dir):
        with connect(server, data_dir) as client:
            found = client.list_models()
    else:
        found = [read_card(folder.added_models / name) for name in added_names(folder)]
        if not found:
            connect(server, data_dir)  # says that there is no server
    if json:
        for model in found:
            print_json(model)
        return
    columns = ("name", "family", "state", "sizes", "frames", "steps", "samplers", "memory")
    table = plain_table(*columns)
    for model in found:
        table.add_row(model.name, model.family, *_limits(model))
    output.print(table)


@app.command()
def add(
    name: ModelNameArgument,
    data_dir: DataDirOption,
    weights: Annotated[
        Path,
        typer.Option("--from", help="The folder of weights, as diffusers writes it; it stays."),
    ],
    load: Annotated[
        str, typer.Option(help=f"How the weights are held: {', '.join(LOAD_WORDS)}.")
    ] = "full",
    target: Annotated[
        str,
        typer.Option(help=f"{', '.join(TARGET_WORDS)}. Default: what this machine has."),
    ] = "",
    tensor_parallel: TensorParallelOption = 1,
    sequence_parallel: SequenceParallelOption = 1,
    guidance_parallel: GuidanceParallelOption = False,
    model_repository: Annotated[
        Path, typer.Option(help="Where the model.py files lie.", show_default=False)
    ] = MODEL_REPOSITORY,
) -> None:
    """Check a folder of weights, try it out and serve it, at once where a server runs."""
    addition = Addition(
        name=name,
        weights=weights,
        target=_one_of(target or this_machine_target(), TARGET_WORDS, "--target"),
        weights_mode=_one_of(load, LOAD_WORDS, "--load"),
        sources=model_repository,
        tensor_parallel=tensor_parallel,
        sequence_parallel=sequence_parallel,
        is_guidance_parallel=guidance_parallel,
    )
    try:
        add_model(DataFolder(data_dir.resolve()), addition, report=_tell)
    except ModelAdditionError as error:
        _fail(error)
    _await_worker(data_dir, name)
    output.print(f"models/{name}", highlight=False)


@app.command()
def verify(name: ModelNameArgument, data_dir: DataDirOption) -> None:
    """Read an added model's files whole and compare them with what was added."""
    try:
        verify_model(DataFolder(data_dir.resolve()), name)
    except ModelAdditionError as error:
        _fail(error)
    output.print(f"models/{name} is whole", highlight=False)


@app.command()
def remove(name: ModelNameArgument, data_dir: DataDirOption) -> None:
    """Take an added model out; its weights stay where they are."""
    folder = DataFolder(data_dir.resolve())
    try:
        if find_server("", data_dir):
            with connect("", data_dir) as client:
                _require_unused(client, name)
                retire_model(folder, name)
                _wait_until(client, name, is_served=False)
        else:
            retire_model(folder, name)
        remove_roles(folder, name)
    except ModelAdditionError as error:
        _fail(error)
    output.print(f"models/{name} is removed", highlight=False)


def _await_worker(data_dir: Path, name: str) -> None:
    if find_server("", data_dir):
        _tell("waiting for the worker")
        with connect("", data_dir) as client:
            _wait_until(client, name, is_served=True)
    _tell(f"models/{name} is added")


def _require_unused(client: Client, name: str) -> None:
    states = (video_pb2.Video.STATE_QUEUED, video_pb2.Video.STATE_RUNNING)
    waiting = VideoFilter(states=(*states, video_pb2.Video.STATE_PAUSED), model=name)
    for video in client.list_videos(waiting, page_size=1):
        raise ModelAdditionError(f"{name} is in use: {video.name} is not done yet")


def _wait_until(client: Client, name: str, *, is_served: bool) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while _is_served(client, name) != is_served:
        if time.monotonic() > deadline:
            word = "serve" if is_served else "let go of"
            _fail(f"no worker came to {word} {name} within {WAIT_SECONDS:.0f} s; see its log")
        time.sleep(POLL_SECONDS)


def _is_served(client: Client, name: str) -> bool:
    try:
        return client.get_model(name).state == model_pb2.Model.STATE_READY
    except NotFoundError:
        return False


def _one_of(word: str, words: tuple[str, ...], option: str) -> str:
    if word not in words:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(words)}", param_hint=option)
    return word


def _tell(text: str) -> None:
    console.print(f"[dim]{escape(text)}[/]", highlight=False)


def _fail(error: object) -> NoReturn:
    tell_error(error)
    raise typer.Exit(1)


def _limits(model: model_pb2.Model) -> tuple[str, ...]:
    limits = model.limits
    state = model_pb2.Model.State.Name(model.state).removeprefix("STATE_").lower()
    sizes = ", ".join(f"{size.width}x{size.height}" for size in limits.sizes)
    frames = f"{limits.min_num_frames} to {limits.max_num_frames}"
    steps = f"{limits.min_num_inference_steps} to {limits.max_num_inference_steps}"
    memory = f"{limits.memory_bytes / GIB:.1f} GiB"
    return state, sizes, frames, steps, ", ".join(limits.samplers), memory
