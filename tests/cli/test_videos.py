import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess
from typer.testing import Result

from telecine.client import Client
from telecine.v1 import video_pb2

Run = Callable[..., Result]
Documents = Callable[[Result], list[dict[str, Any]]]


@pytest.fixture
def video(gateway: GatewayProcess) -> video_pb2.Video:
    with Client(gateway.address) as client:
        return client.create_video("a [red] circle", labels={"team": "film"}, seed=7)


@pytest.fixture
def finished(gateway: GatewayProcess, video: video_pb2.Video) -> video_pb2.Video:
    async def finish() -> video_pb2.Video:
        ended = await gateway.finish(b"frames")
        await gateway.redis.aclose()
        return ended

    return asyncio.run(finish())


def test_get_shows_what_was_really_used(run: Run, video: video_pb2.Video) -> None:
    shown = run("get", video.name).stdout
    assert "a [red] circle" in shown
    assert "team=film" in shown
    assert "queued" in shown


def test_get_takes_a_bare_id_and_prints_json(
    run: Run, video: video_pb2.Video, documents: Documents
) -> None:
    result = run("get", video.name.removeprefix("videos/"), "--json")
    assert documents(result)[0]["spec"]["seed"] == "7"


def test_get_shows_the_files_of_a_finished_video(run: Run, finished: video_pb2.Video) -> None:
    assert "video.mp4" in run("get", finished.name).stdout


def test_list_filters(run: Run, video: video_pb2.Video, documents: Documents) -> None:
    assert documents(run("list", "--json"))[0]["name"] == video.name
    assert documents(run("list", "--json", "--label", "team=film"))[0]["name"] == video.name
    assert documents(run("list", "--json", "--label", "team=other")) == []
    assert documents(run("list", "--json", "--state", "succeeded")) == []
    assert video.name in run("list").stdout


def test_a_state_that_is_none_is_refused(run: Run) -> None:
    result = run("list", "--state", "finished")
    assert result.exit_code == 2
    assert "succeeded" in result.stderr


def test_pause_then_resume(run: Run, video: video_pb2.Video, documents: Documents) -> None:
    assert "paused" in run("pause", video.name).stdout
    assert documents(run("list", "--json", "--state", "paused"))[0]["name"] == video.name
    assert "paused" in run("get", video.name).stdout
    assert "queued" in run("resume", video.name).stdout
    assert "0 ahead" in run("get", video.name).stdout


def test_cancel_then_delete(run: Run, video: video_pb2.Video) -> None:
    assert "cancelled" in run("cancel", video.name).stdout
    assert run("delete", video.name).exit_code == 0
    assert "no videos" in run("list").stderr


def test_watch_follows_to_the_end(run: Run, finished: video_pb2.Video) -> None:
    assert "succeeded" in run("watch", finished.name).stdout


def test_watch_prints_events_as_json(
    run: Run, finished: video_pb2.Video, documents: Documents
) -> None:
    events = documents(run("watch", finished.name, "--json"))
    assert events[-1]["stateChanged"]["state"] == "STATE_SUCCEEDED"
    after = documents(run("watch", finished.name, "--json", "--after", events[0]["eventId"]))
    assert after == events[1:]


def test_download_prints_where_the_file_is(
    run: Run, finished: video_pb2.Video, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    assert run("download", finished.name, "-o", str(path)).stdout == f"{path}\n"
    assert path.read_bytes() == b"frames"


def test_download_makes_the_folder_and_refuses_one_as_a_file(
    run: Run, finished: video_pb2.Video, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "folder" / "out.mp4"
    assert run("download", finished.name, "-o", str(path)).exit_code == 0
    assert path.read_bytes() == b"frames"
    refused = run("download", finished.name, "-o", str(path.parent))
    assert refused.exit_code == 2
    assert "--output" in refused.stderr


def test_download_to_standard_output_gives_the_bytes_alone(
    run: Run, finished: video_pb2.Video
) -> None:
    result = run("download", finished.name, "--follow", "-o", "-")
    assert result.stdout_bytes == b"frames"


def test_models_shows_limits(run: Run, documents: Documents) -> None:
    assert "1 to 97" in run("models").stdout
    assert documents(run("models", "--json"))[0]["name"] == "models/toybox"


def test_a_server_that_is_not_there_is_told(run: Run, gateway: GatewayProcess) -> None:
    gateway.kill()
    result = run("list")
    assert result.exit_code == 2
    assert "telecine up" in result.stderr
