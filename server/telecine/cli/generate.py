"""`telecine generate`: from a prompt to a file, whether a server runs or not."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from telecine.cli.console import console, output
from telecine.cli.options import (
    DataDirOption,
    ServerOption,
    find_server,
    open_client,
    prepare_target,
)
from telecine.cli.progress_view import ProgressView, state_word
from telecine.cli.up import MODEL_REPOSITORY, local_options, running_service
from telecine.client import Client, InvalidRequestError, TelecineClientError, VideoOptions
from telecine.client.requests import video_spec
from telecine.local.stop_signals import StopRequestedError, StopSignals
from telecine.v1 import video_pb2

INTERRUPTED_EXIT_CODE = 130
TIER_OF_WORD = {
    video_pb2.Tier.Name(tier).removeprefix("TIER_").lower(): tier
    for tier in video_pb2.Tier.values()
    if tier
}
AUDIO_MODE_OF_WORD = {
    video_pb2.AudioMode.Name(mode).removeprefix("AUDIO_MODE_").lower(): mode
    for mode in video_pb2.AudioMode.values()
    if mode
}
FORMAT_OF_WORD = {
    "mp4": video_pb2.OUTPUT_FORMAT_MP4_H264,
    "webm": video_pb2.OUTPUT_FORMAT_WEBM_VP9,
}
FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format", help="mp4 or webm, or both by naming each; what is saved is as -o ends."
    ),
]
LoraOption = Annotated[
    list[str] | None, typer.Option(help="NAME or NAME=SCALE of an adapter, any number.")
]


OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Where the video goes. Default: by its name."),
]
TierOption = Annotated[
    str | None,
    typer.Option(help="realtime, premium, standard or batch; realtime is saved as it is made."),
]
AudioOption = Annotated[
    str | None,
    typer.Option(help="How sound is made: joint, post_sync or none. Default: as the tier has it."),
]
InputAudioOption = Annotated[
    str | None,
    typer.Option(
        help="The sound, as it is: a track's file, or media/MEDIA. With --audio joint the picture "
        "is made to it."
    ),
]
ImageOption = Annotated[
    str | None, typer.Option(help="The first frame: a picture's file, or media/MEDIA.")
]
EditOption = Annotated[
    str | None,
    typer.Option(help="The video to change: a file, videos/VIDEO or media/MEDIA."),
]
StrengthOption = Annotated[
    float | None, typer.Option(help="How much of it is made anew, from above 0 to 1.")
]
ExtendOption = Annotated[
    str | None,
    typer.Option(
        help="The video to go on with: as for --edit; for a file --duration is that of the result."
    ),
]
SecondsOption = Annotated[float | None, typer.Option(help="How much --extend adds.")]
_SourceField = Literal["input_image", "input_audio", "edit_source", "extend_source"]
_OPTION_OF_SOURCE: dict[_SourceField, str] = {
    "input_image": "--image",
    "input_audio": "--input-audio",
    "edit_source": "--edit",
    "extend_source": "--extend",
}


def generate(
    prompt: Annotated[str, typer.Argument(help="What the video should show.")],
    data_dir: DataDirOption,
    path: OutputOption = None,
    server: ServerOption = "",
    model: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What it should not show.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of all randomness.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Strength of guidance, from 1.")] = None,
    duration: Annotated[float | None, typer.Option(help="Length in seconds.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    sampler: Annotated[str | None, typer.Option(help="The sampler's name.")] = None,
    tier: TierOption = None,
    output_format: FormatOption = None,
    upscale: Annotated[int | None, typer.Option(help="Repeat every pixel this often.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, any number.")] = None,
    start_within: Annotated[float | None, typer.Option(help="Seconds it may wait.")] = None,
    lora: LoraOption = None,
    audio: AudioOption = None,
    input_audio: InputAudioOption = None,
    image: ImageOption = None,
    edit: EditOption = None,
    strength: StrengthOption = None,
    extend: ExtendOption = None,
    seconds: SecondsOption = None,
    expand: Annotated[bool, typer.Option(help="Enrich the prompt first.")] = False,
) -> None:
    """Make a video; starts what it needs when no server runs, and stops it afterwards."""
    given: dict[str, object] = {
        "model": model,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "duration_seconds": duration,
        "fps": fps,
        "sampler": sampler,
        **parse_words(size, tier, output_format, audio),
        "input_audio": input_audio,
        "upscale": upscale,
        "start_within_seconds": start_within,
        **parse_pairs(label, lora),
        **parse_sources(image, edit, strength, extend, seconds),
        "expand_prompt": expand or None,
    }
    options = checked_options(prompt, given, path)
    with _client(server, data_dir) as client:
        _generate(client, prompt, with_uploads(client, options), path)


def parse_sources(
    image: str | None,
    edit: str | None,
    strength: float | None,
    extend: str | None,
    seconds: float | None,
) -> dict[str, object]:
    """What a video is made from beside its prompt, by the client's names."""
    if strength is not None and edit is None:
        raise typer.BadParameter("goes with --edit", param_hint="--strength")
    if (seconds is None) != (extend is None):
        raise typer.BadParameter("--extend and --seconds go together", param_hint="--extend")
    return {
        "input_image": image,
        "edit_source": edit,
        "edit_strength": strength,
        "extend_source": extend,
        "extend_seconds": seconds,
    }


def checked_options(
    prompt: str, given: dict[str, object], path: Path | None = None
) -> VideoOptions:
    """Return what is given; what cannot be is refused before a server is started for it."""
    options: VideoOptions = VideoOptions(**{k: v for k, v in given.items() if v is not None})  # type: ignore[typeddict-item]
    try:
        video_spec(prompt, options)
    except ValueError as error:
        raise typer.BadParameter(escape(str(error))) from error
    check_files(options)
    if path is not None:
        prepare_target(path)
    return options


def check_files(options: VideoOptions) -> None:
    """Refuse files that are not there, before a server is started for them."""
    for field, source in _files(options):
        if not Path(source).is_file():
            raise typer.BadParameter(
                escape(f"{source} is neither a file nor videos/VIDEO or media/MEDIA"),
                param_hint=_OPTION_OF_SOURCE[field],
            )


def with_uploads(client: Client, options: VideoOptions) -> VideoOptions:
    """Upload the files that a video is to be made from, and name them instead."""
    named = options.copy()
    for field, source in _files(options):
        try:
            named[field] = client.upload_media(source).name
        except (ValueError, InvalidRequestError) as error:
            raise typer.BadParameter(
                escape(str(error)), param_hint=_OPTION_OF_SOURCE[field]
            ) from error
    return named


def _files(options: VideoOptions) -> Iterator[tuple[_SourceField, str]]:
    for field in _OPTION_OF_SOURCE:
        source = options.get(field)
        if source is not None and source.partition("/")[0] not in {"media", "videos"}:
            yield field, source


def parse_size(text: str) -> tuple[int, int]:
    """`128x96` as width and height."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"a size is WIDTHxHEIGHT, not {text}", param_hint="--size")
    return int(width), int(height)


def parse_words(
    size: str | None, tier: str | None, output_format: list[str] | None, audio: str | None
) -> dict[str, object]:
    """What is given as a word, by the client's names."""
    return {
        "size": parse_size(size) if size else None,
        "tier": parse_tier(tier) if tier else None,
        "output_formats": parse_formats(output_format) if output_format else None,
        "audio_mode": parse_audio(audio) if audio else None,
    }


def parse_pairs(label: list[str] | None, lora: list[str] | None) -> dict[str, object]:
    """What is given as NAME=VALUE, by the client's names."""
    return {
        "labels": parse_labels(label) if label else None,
        "loras": parse_loras(lora) if lora else None,
    }


def parse_tier(text: str) -> video_pb2.Tier.ValueType:
    """`realtime` as its enum value."""
    if text.lower() not in TIER_OF_WORD:
        taken = ", ".join(TIER_OF_WORD)
        raise typer.BadParameter(f"a tier is one of {taken}", param_hint="--tier")
    return TIER_OF_WORD[text.lower()]


def parse_audio(text: str) -> video_pb2.AudioMode.ValueType:
    """`post-sync` as its enum value."""
    word = text.lower().replace("-", "_")
    if word not in AUDIO_MODE_OF_WORD:
        taken = ", ".join(AUDIO_MODE_OF_WORD)
        raise typer.BadParameter(f"sound is one of {taken}", param_hint="--audio")
    return AUDIO_MODE_OF_WORD[word]


def parse_formats(words: list[str]) -> list[video_pb2.OutputFormat.ValueType]:
    """`["webm"]` as enum values."""
    for word in words:
        if word.lower() not in FORMAT_OF_WORD:
            taken = ", ".join(FORMAT_OF_WORD)
            raise typer.BadParameter(f"a format is one of {taken}", param_hint="--format")
    return [FORMAT_OF_WORD[word.lower()] for word in words]


def parse_labels(texts: list[str]) -> dict[str, str]:
    """`["team=film"]` as a map."""
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals:
            raise typer.BadParameter(f"a label is KEY=VALUE, not {key}", param_hint="--label")
    return {key: value for key, _, value in pairs}


def parse_loras(texts: list[str]) -> dict[str, float]:
    """`["sketch=0.5"]` as a map; without a scale it is 1."""
    pairs = [text.partition("=") for text in texts]
    try:
        return {name: float(scale) if equals else 1.0 for name, equals, scale in pairs}
    except ValueError as error:
        raise typer.BadParameter(f"NAME or NAME=SCALE: {error}", param_hint="--lora") from error


@contextmanager
def _client(server: str, data_dir: Path) -> Iterator[Client]:
    with StopSignals() as signals:
        try:
            with _served(server, data_dir, signals) as client:
                yield client
        except StopRequestedError:
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None


@contextmanager
def _served(server: str, data_dir: Path, signals: StopSignals) -> Iterator[Client]:
    address = find_server(server, data_dir)
    if address is not None:
        with open_client(address, data_dir) as client:
            yield client
        return
    console.print("no server runs here: starting one for this video", highlight=False)
    options = local_options(None, MODEL_REPOSITORY)
    with (
        running_service(data_dir, options, signals=signals) as service,
        open_client(service.address, data_dir) as client,
    ):
        yield client


def _generate(client: Client, prompt: str, options: VideoOptions, path: Path | None) -> None:
    video = client.create_video(prompt, **options)
    target, artifact_id = choose_file(video, path)
    fetch = partial(client.download_video, video.name, target, artifact_id=artifact_id)
    fetching = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch")
    try:
        # What grows while it is made is silent.
        is_live = video.spec.tier == video_pb2.TIER_REALTIME and not has_sound(video.spec)
        fetched = fetching.submit(fetch, follow=True) if is_live else None
        video = _watch(client, video)
        if fetched is None:
            fetch()
        else:
            fetched.result()
    finally:
        fetching.shutdown(wait=False)
    console.print(f"[green]done[/] {video.name}, seed {video.spec.seed}", highlight=False)
    output.print(str(target), highlight=False, soft_wrap=True)


def has_sound(spec: video_pb2.VideoSpec) -> bool:
    """Whether the finished file has a sound track."""
    return bool(spec.input_audio) or spec.audio_mode != video_pb2.AUDIO_MODE_NONE


def choose_file(video: video_pb2.Video, path: Path | None) -> tuple[Path, str]:
    """Return where a video goes, and which of its files; empty for that which it is by default."""
    formats = video.spec.output_formats
    suffix = ".mp4" if video_pb2.OUTPUT_FORMAT_MP4_H264 in formats else ".webm"
    target = path or Path(f"{video.name.removeprefix('videos/')}{suffix}")
    is_webm = target.suffix == ".webm" and video_pb2.OUTPUT_FORMAT_WEBM_VP9 in formats
    return target, "video.webm" if is_webm else ""


def _watch(client: Client, video: video_pb2.Video) -> video_pb2.Video:
    """Show a video's events until it has succeeded; an interrupt cancels it."""
    try:
        with ProgressView(console, create_time=video.create_time) as view:
            for event in client.watch_video(video.name, is_preview_omitted=True):
                view.show(event)
    except StopRequestedError:
        _cancel(client, video.name)
        raise
    video = client.get_video(video.name)
    for warning in video.warnings:
        console.print(f"[yellow]{escape(warning)}[/]")
    if video.state != video_pb2.Video.STATE_SUCCEEDED:
        console.print(f"[red]{state_word(video.state)}[/] {escape(describe_failure(video))}")
        raise typer.Exit(1)
    return video


def describe_failure(video: video_pb2.Video) -> str:
    """Return why a video failed, in one line; empty where it did not."""
    failure = video.failure
    log_id = f", log id {failure.log_id}" if failure.log_id else ""
    return f"{failure.message} ({failure.reason}{log_id})" if failure.reason else ""


def _cancel(client: Client, name: str) -> None:
    try:
        client.cancel_video(name)
    except TelecineClientError as error:
        console.print(f"{name} was not cancelled: {escape(error.message)}", highlight=False)
    else:
        console.print(f"cancelled {name}", highlight=False)
