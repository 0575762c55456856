"""The commands that look at, end and fetch videos."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from rich.markup import escape

from telecine.cli.console import console, local_time, output, plain_table, print_json
from telecine.cli.generate import describe_failure, parse_labels
from telecine.cli.options import (
    DataDirOption,
    JsonOption,
    NameArgument,
    ServerOption,
    connect,
    prepare_target,
)
from telecine.cli.progress_view import STAGE_WORDS, ProgressView, state_word
from telecine.client import Client, VideoFilter
from telecine.v1 import video_pb2

STANDARD_OUTPUT = Path("-")
STATE_OF_WORD = {state_word(state): state for state in video_pb2.Video.State.values() if state}


def get(
    name: NameArgument, data_dir: DataDirOption, server: ServerOption = "", json: JsonOption = False
) -> None:
    """Show one video with everything that was really used."""
    with connect(server, data_dir) as client:
        video = client.get_video(name)
    if json:
        print_json(video)
        return
    table = plain_table("", "")
    for field, value in _facts(video).items():
        table.add_row(f"[bold]{field}[/]", escape(value))
    output.print(table)


def list_videos(
    data_dir: DataDirOption,
    server: ServerOption = "",
    state: Annotated[list[str] | None, typer.Option(help="Only these, any number.")] = None,
    model: Annotated[str, typer.Option(help="Only this model's.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="Only with KEY=VALUE.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 20,
    json: JsonOption = False,
) -> None:
    """List videos, newest first."""
    video_filter = VideoFilter(
        states=[_parse_state(word) for word in state or ()],
        model=model,
        labels=parse_labels(label or []),
    )
    with connect(server, data_dir) as client:
        found = zip(
            range(limit),
            client.list_videos(video_filter, page_size=min(limit, 1000)),
            strict=False,
        )
        videos = [video for _, video in found]
    if json:
        for video in videos:
            print_json(video)
        return
    if not videos:
        console.print("no videos")
        return
    table = plain_table("name", "state", "done", "created", "prompt")
    for video in videos:
        percent = f"{video.progress_percent} %"
        created = local_time(video.create_time)
        table.add_row(
            video.name, state_word(video.state), percent, created, escape(video.spec.prompt)
        )
    output.print(table)


def watch(
    name: NameArgument,
    data_dir: DataDirOption,
    server: ServerOption = "",
    after: Annotated[str, typer.Option(help="Only events after this id.")] = "",
    json: JsonOption = False,
) -> None:
    """Follow a video until its end."""
    with connect(server, data_dir) as client:
        if json:
            for event in client.watch_video(name, after_event_id=after):
                output.print_json(json_format.MessageToJson(event), indent=None)
            return
        with ProgressView(console) as view:
            for event in client.watch_video(name, after_event_id=after, is_preview_omitted=True):
                view.show(event)
        video = client.get_video(name)
    output.print(f"{video.name} {state_word(video.state)} {escape(describe_failure(video))}")


def cancel(name: NameArgument, data_dir: DataDirOption, server: ServerOption = "") -> None:
    """Stop a video within one step."""
    with connect(server, data_dir) as client:
        video = client.cancel_video(name)
    if video.state in {video_pb2.Video.STATE_QUEUED, video_pb2.Video.STATE_RUNNING}:
        output.print(f"{video.name} is being cancelled")
    else:
        output.print(f"{video.name} {state_word(video.state)}")


def pause(name: NameArgument, data_dir: DataDirOption, server: ServerOption = "") -> None:
    """Set a video aside; it keeps what is done."""
    with connect(server, data_dir) as client:
        video = client.pause_video(name)
    if video.state == video_pb2.Video.STATE_RUNNING:
        output.print(f"{video.name} is paused at the end of its slice")
    else:
        output.print(f"{video.name} {state_word(video.state)}")


def resume(name: NameArgument, data_dir: DataDirOption, server: ServerOption = "") -> None:
    """Go on with a paused video."""
    with connect(server, data_dir) as client:
        video = client.resume_video(name)
    output.print(f"{video.name} {state_word(video.state)}")


def delete(name: NameArgument, data_dir: DataDirOption, server: ServerOption = "") -> None:
    """Remove a video that has ended, with its files."""
    with connect(server, data_dir) as client:
        client.delete_video(name)
    output.print(f"{name} deleted")


def download(
    name: NameArgument,
    data_dir: DataDirOption,
    path: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where the file goes, - for standard output. Default: by its name.",
        ),
    ] = None,
    artifact: Annotated[str, typer.Option(help="Which file. Default: the video.")] = "",
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Wait for a video that is still being made; a realtime one comes as it is made.",
        ),
    ] = False,
    server: ServerOption = "",
) -> None:
    """Fetch a file of a video."""
    with connect(server, data_dir) as client:
        target = path or _default_target(client, name, artifact, follow=follow)
        if target == STANDARD_OUTPUT:
            for data in client.read_video(name, artifact_id=artifact, follow=follow):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            return
        prepare_target(target)
        client.download_video(name, target, artifact_id=artifact, follow=follow)
    output.print(str(target), highlight=False, soft_wrap=True)


def _default_target(client: Client, name: str, artifact: str, *, follow: bool) -> Path:
    video_id = name.removeprefix("videos/")
    if artifact:
        return Path(f"{video_id}-{artifact}")
    formats = client.get_video(name).spec.output_formats
    # What is followed may be the growing file, which is always an MP4.
    is_webm = not follow and list(formats) == [video_pb2.OUTPUT_FORMAT_WEBM_VP9]
    return Path(f"{video_id}{'.webm' if is_webm else '.mp4'}")


def _parse_state(word: str) -> video_pb2.Video.State.ValueType:
    if word.lower() not in STATE_OF_WORD:
        raise typer.BadParameter(f"a state is one of {', '.join(STATE_OF_WORD)}")
    return STATE_OF_WORD[word.lower()]


def _facts(video: video_pb2.Video) -> dict[str, str]:
    spec = video.spec
    facts = {
        "name": video.name,
        "state": f"{state_word(video.state)}, {video.progress_percent} %",
        "queue": _queue_place(video),
        "failure": describe_failure(video),
        "prompt": spec.prompt,
        "negative prompt": spec.negative_prompt,
        "model": f"{spec.model} {video.model_version} {video.model_digest}",
        "seed": str(spec.seed),
        "steps": f"{spec.num_inference_steps}, {spec.sampler}",
        "guidance": f"{spec.guidance_scale:g}",
        "frames": f"{video.num_frames} at {spec.fps}/s, {spec.size.width}x{spec.size.height}",
        "sound": spec.input_audio or video_pb2.AudioMode.Name(spec.audio_mode)[11:].lower(),
        "created": local_time(video.create_time),
        "ended": local_time(video.end_time) if video.HasField("end_time") else "",
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items())),
        "warnings": "\n".join(video.warnings),
    }
    for timing in video.timings:
        facts[STAGE_WORDS[timing.stage]] = f"{_seconds(timing.duration):.2f} s"
    for artifact in video.artifacts:
        facts[artifact.artifact_id] = f"{artifact.size_bytes} bytes, {artifact.digest}"
    return {field: value for field, value in facts.items() if value}


def _queue_place(video: video_pb2.Video) -> str:
    if not video.HasField("queue_position"):
        return ""
    place = f"{video.queue_position} ahead"
    if not video.HasField("estimated_start_time"):
        return f"{place}, no worker serves it now"
    return f"{place}, starts about {local_time(video.estimated_start_time)}"


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
