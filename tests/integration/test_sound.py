"""A video with its sound, denoised jointly, through every process; lost and resumed on its way.

The model is LTX-2 with random numbers.
"""

import asyncio
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from google.protobuf import json_format
from tiny_ltx2 import SIZE, write_tiny_ltx2
from track_files import write_track

from telecine.backend.model_card import model_card
from telecine.backend.model_repository import build_repository
from telecine.client import AsyncClient, VideoOptions
from telecine.engine.families import load_family
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.v1 import video_pb2
from telecine.worker.model_registry import CARD_NAME

from .conftest import Service, ServiceMaker
from .long_video import send
from .waiting import all_events, is_notice, is_step, next_event, until_ready

# Of diffusers, and of the ONNX exporter.
IGNORED = [f"ignore::{kind}Warning" for kind in ("User", "Future", "Deprecation")]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*IGNORED)]

SOURCES = Path(__file__).parents[2] / "model_repository"
PROMPT, FPS = "a red circle with loud music", 24
SECONDS = Fraction(SIZE["num_frames"], FPS)
SLICE_STEPS = 4
OPTIONS: VideoOptions = {
    "seed": 7,
    "duration_seconds": float(SECONDS),
    "num_inference_steps": 24,
}
AUDIO = "audio"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the folder of the same name that other tests serve."""
    folder: Path = tmp_path_factory.mktemp("models") / "ltx2"
    write_tiny_ltx2(folder, "2.3")
    card = model_card(load_family(str(folder)).card, version="tiny", memory_bytes=0)
    del card.limits.sizes[:]
    card.limits.sizes.add(width=SIZE["width"], height=SIZE["height"])
    card.defaults.size.CopyFrom(card.limits.sizes[0])
    (folder / CARD_NAME).write_text(json_format.MessageToJson(card))
    return folder


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    folder: Path = tmp_path_factory.mktemp("repository")
    build_repository(folder, SOURCES, model="ltx2", weights=str(weights))
    config = TritonServerConfig.on_free_ports(folder, folder / "triton.log")
    running = TritonServer(config)
    # Half of its processes import diffusers, which takes long on a busy machine.
    running.start(ready_timeout_seconds=300.0)
    yield running
    running.stop()


@pytest.fixture
def service(make_service: ServiceMaker, server: TritonServer, weights: Path) -> Service:
    service = make_service(server.grpc_url)
    service.weights = weights
    service.worker_settings = {"slice_steps": SLICE_STEPS}
    return service


@pytest.fixture
def model_options() -> VideoOptions:
    return {**OPTIONS, "model": "ltx2"}


async def made(client: AsyncClient, options: VideoOptions) -> video_pb2.Video:
    created = await client.create_video(PROMPT, **options)
    async with asyncio.timeout(120.0):
        video = await client.wait_for_video(created.name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    return video


def digest(video: video_pb2.Video) -> str:
    return video.artifacts[0].digest


async def test_video_of_a_model_with_sound_has_it_unless_it_is_not_wanted(
    service: Service, client: AsyncClient, model_options: VideoOptions, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    with_sound = await made(client, model_options)
    assert with_sound.spec.audio_mode == video_pb2.AUDIO_MODE_JOINT
    stages = [timing.stage for timing in with_sound.timings]
    assert stages[-3:] == [
        video_pb2.STAGE_DECODING,
        video_pb2.STAGE_AUDIO,
        video_pb2.STAGE_UPLOADING,
    ]
    assert {each.artifact_id for each in with_sound.artifacts} >= {"video.mp4", "lip_sync.json"}
    assert with_sound.HasField("lip_sync")
    silent = await made(client, {**model_options, "audio_mode": video_pb2.AUDIO_MODE_NONE})
    assert silent.spec.audio_mode == video_pb2.AUDIO_MODE_NONE
    assert video_pb2.STAGE_AUDIO not in [timing.stage for timing in silent.timings]
    assert with_sound.estimated_microcredits > silent.estimated_microcredits
    paths = [tmp_path / "with_sound.mp4", tmp_path / "silent.mp4"]
    for video, path in zip((with_sound, silent), paths, strict=True):
        await client.download_video(video.name, path)
    assert [lengths(path) for path in paths] == [
        {"video": SECONDS, AUDIO: SECONDS},
        {"video": SECONDS},
    ]
    assert np.abs(samples(paths[0])).max() > 0.01
    # The network denoises both, whether the sound is wanted or not.
    assert pictures(paths[0]) == pictures(paths[1])


async def test_uploaded_track_is_what_is_heard_instead(
    service: Service, client: AsyncClient, model_options: VideoOptions, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    tone = 0.5 * np.sin(np.arange(48_000, dtype=np.float32) / 10)[None]
    path = write_track(tmp_path / "tone.flac", tone, 48_000, "flac")
    media = await client.upload_media(path)
    video = await made(client, {**model_options, "input_audio": media.name})
    assert video.spec.audio_mode == video_pb2.AUDIO_MODE_NONE
    assert not video.HasField("lip_sync")
    await client.download_video(video.name, tmp_path / "video.mp4")
    heard = samples(tmp_path / "video.mp4")[0]
    length = round(SECONDS * 48_000)
    assert np.abs(heard[2_000 : length - 2_000] - tone[0, 2_000 : length - 2_000]).max() < 0.05


async def test_killed_worker_s_video_and_its_sound_come_out_as_if_nothing_had_been(
    service: Service, client: AsyncClient, model_options: VideoOptions
) -> None:
    doomed = service.start_worker()
    await until_ready(client)
    created = await client.create_video(PROMPT, **model_options)
    await next_event(client.watch_video(created.name), is_step(SLICE_STEPS + 1))
    send(doomed, signal.SIGKILL)
    service.start_worker()
    events = await all_events(client, created.name)
    resumed = await client.get_video(created.name)
    assert resumed.state == video_pb2.Video.STATE_SUCCEEDED, resumed.failure
    assert resumed.attempt == 2
    assert any(is_notice("RESUMED")(event) for event in events)
    undisturbed = await made(client, model_options)
    assert undisturbed.attempt == 1
    assert resumed.artifacts == undisturbed.artifacts
    assert resumed.lip_sync == undisturbed.lip_sync


async def test_sound_of_a_worker_that_dies_at_it_is_made_again(
    service: Service, client: AsyncClient, model_options: VideoOptions
) -> None:
    doomed = service.start_worker()
    await until_ready(client)
    created = await client.create_video(PROMPT, **model_options)
    await next_event(
        client.watch_video(created.name),
        lambda event: event.stage_changed.stage == video_pb2.STAGE_AUDIO,
    )
    send(doomed, signal.SIGKILL)
    service.start_worker()
    async with asyncio.timeout(120.0):
        resumed = await client.wait_for_video(created.name)
    assert resumed.state == video_pb2.Video.STATE_SUCCEEDED, resumed.failure
    assert digest(resumed) == digest(await made(client, model_options))


def lengths(path: Path) -> dict[str, Fraction]:
    with av.open(str(path)) as container:
        return {each.type: each.duration * each.time_base for each in container.streams}


def samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.concatenate([each.to_ndarray() for each in container.decode(audio=0)], axis=1)


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]
