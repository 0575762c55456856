import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from gateway_process import GatewayProcess
from live_worker import LiveWorker
from PIL import Image
from typer.testing import CliRunner

from telecine.cli.app import app
from telecine.cli.generate import (
    check_files,
    choose_file,
    describe_failure,
    parse_audio,
    parse_formats,
    parse_labels,
    parse_loras,
    parse_size,
    parse_sources,
    parse_tier,
    with_uploads,
)
from telecine.client import Client, VideoOptions
from telecine.v1 import video_pb2

MP4, WEBM = video_pb2.OUTPUT_FORMAT_MP4_H264, video_pb2.OUTPUT_FORMAT_WEBM_VP9


def test_a_size_is_width_by_height() -> None:
    assert parse_size("128x96") == (128, 96)


@pytest.mark.parametrize("text", ["128", "128x", "x96", "axb", "-1x5", "1x2x3"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_size(text)


def test_labels_are_split_at_the_first_equals_sign() -> None:
    assert parse_labels(["team=film", "note=a=b"]) == {"team": "film", "note": "a=b"}
    with pytest.raises(typer.BadParameter):
        parse_labels(["team"])


def test_an_adapter_acts_in_full_unless_a_scale_follows() -> None:
    assert parse_loras(["sketch=0.5", "grain"]) == {"sketch": 0.5, "grain": 1.0}
    with pytest.raises(typer.BadParameter):
        parse_loras(["sketch=much"])


def test_a_strength_needs_an_edit_and_an_extension_its_seconds() -> None:
    assert parse_sources(None, "videos/v", 0.5, None, None)["edit_strength"] == 0.5
    for given in ((None, None, 0.5, None, None), (None, None, None, "videos/v", None)):
        with pytest.raises(typer.BadParameter):
            parse_sources(*given)


def test_files_are_uploaded_and_names_are_not(gateway: GatewayProcess, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", (8, 8)).save(path)
    with Client(gateway.address) as client:
        named = with_uploads(client, {"input_image": str(path), "edit_source": "videos/v"})
        assert re.fullmatch(r"media/[0-9a-f]+", named["input_image"])
        assert named["edit_source"] == "videos/v"
        path.write_bytes(b"no picture")
        with pytest.raises(typer.BadParameter, match="not a file of type image/png") as refusal:
            with_uploads(client, {"input_image": str(path)})
        assert refusal.value.param_hint == "--image"


def test_a_file_that_is_not_there_is_refused_before_a_server_is_started(tmp_path: Path) -> None:
    for field, option in (("input_image", "--image"), ("extend_source", "--extend")):
        options = VideoOptions(**{field: str(tmp_path / "none.png")})  # type: ignore[typeddict-item]
        with pytest.raises(typer.BadParameter, match="neither a file nor") as refusal:
            check_files(options)
        assert refusal.value.param_hint == option


@pytest.mark.parametrize("command", ["generate", "estimate"])
def test_a_number_that_no_request_can_hold_is_refused(tmp_path: Path, command: str) -> None:
    for option, value in (("--duration", "nan"), ("--duration", "1e300"), ("--fps", "9999999999")):
        arguments = [command, "a cat", option, value, "--data-dir", str(tmp_path / "data")]
        refused = CliRunner().invoke(app, arguments)
        assert refused.exit_code == 2
        assert option.removeprefix("--") in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_place_where_no_file_can_be_is_refused_before_a_server_is_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for target in (tmp_path, tmp_path / "file" / "out.mp4"):
        command = ["generate", "a cat", "--data-dir", str(tmp_path / "data"), "-o", str(target)]
        refused = CliRunner().invoke(app, command)
        assert refused.exit_code == 2
        assert "--output" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_failure_names_its_reason_and_log_id() -> None:
    failure = video_pb2.Failure(reason="MODEL_FAILED", message="out of range", log_id="l1")
    described = describe_failure(video_pb2.Video(failure=failure))
    assert described == "out of range (MODEL_FAILED, log id l1)"
    assert describe_failure(video_pb2.Video()) == ""


def test_a_tier_is_a_word() -> None:
    assert parse_tier("Realtime") == video_pb2.TIER_REALTIME
    with pytest.raises(typer.BadParameter, match="batch"):
        parse_tier("unspecified")


def test_a_mode_of_sound_is_a_word() -> None:
    assert parse_audio("post-sync") == parse_audio("POST_SYNC") == video_pb2.AUDIO_MODE_POST_SYNC
    with pytest.raises(typer.BadParameter, match="joint"):
        parse_audio("loud")


def test_a_format_is_a_word() -> None:
    assert parse_formats(["webm", "MP4"]) == [WEBM, MP4]
    with pytest.raises(typer.BadParameter, match="mp4, webm"):
        parse_formats(["webm", "gif"])


@pytest.mark.parametrize(
    ("formats", "path", "target", "artifact_id"),
    [
        ([MP4], None, "v1.mp4", ""),
        ([MP4], "a.webm", "a.webm", ""),
        ([WEBM], None, "v1.webm", "video.webm"),
        ([WEBM], "a.mp4", "a.mp4", ""),
        ([MP4, WEBM], None, "v1.mp4", ""),
        ([MP4, WEBM], "a.webm", "a.webm", "video.webm"),
    ],
)
def test_what_is_saved_is_of_the_formats_asked_for(
    formats: list[video_pb2.OutputFormat.ValueType],
    path: str | None,
    target: str,
    artifact_id: str,
) -> None:
    spec = video_pb2.VideoSpec(output_formats=formats)
    video = video_pb2.Video(name="videos/v1", spec=spec)
    assert choose_file(video, Path(path) if path else None) == (Path(target), artifact_id)


def test_a_realtime_video_is_saved_while_it_is_made(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "out.mp4"
    command = [sys.executable, "-m", "telecine.cli", "generate", "a red circle"]
    options = ["--tier", "realtime", "-o", path, "--server", gateway.address]
    process = subprocess.Popen(
        [*command, *options, "--data-dir", tmp_path / "unused"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("queued")
    content = asyncio.run(_make_live(gateway, path))
    written, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert path.read_bytes() == content
    assert written == f"{path}\n"
    assert re.search(r"first frames after \d+\.\d s", told)


async def _make_live(gateway: GatewayProcess, path: Path) -> bytes:
    worker = await LiveWorker.claim(gateway.jobs, gateway.objects)
    for number, piece in enumerate((b"header", b"fragment")):
        await worker.announce(piece, num_frames=number)
        await _until_written(path, worker.content)
    await worker.complete()
    await gateway.redis.aclose()
    return worker.content


async def _until_written(path: Path, content: bytes) -> None:
    async with asyncio.timeout(30):
        while True:
            if path.exists() and path.read_bytes() == content:
                return
            await asyncio.sleep(0.01)


def test_an_interrupt_cancels_the_video(gateway: GatewayProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "telecine.cli", "generate", "a red circle"]
    process = subprocess.Popen(
        [*command, "--server", gateway.address, "--data-dir", tmp_path / "unused"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("queued")
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "cancelled videos/" in told
    with Client(gateway.address) as client:
        states = [video.state for video in client.list_videos()]
    assert states == [video_pb2.Video.STATE_CANCELLED]
