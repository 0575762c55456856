"""Pictures made to a track, through every process; lost and resumed on their way.

The model is of the toybox family, with sound, and of random numbers.
"""

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray
from random_family import DIT, write_random_family
from track_files import write_track

from telecine.backend.model_repository import build_repository
from telecine.client import AsyncClient, VideoOptions
from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.families import load_family
from telecine.inference.smoke_test import smoke_test
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.v1 import model_pb2, video_pb2
from telecine.worker.model_registry import CARD_NAME

from .conftest import CARD, Service, ServiceMaker
from .input_files import read_frames
from .long_video import send
from .waiting import is_step, next_event, until_ready

# Of the ONNX exporter.
IGNORED = [f"ignore::{kind}Warning" for kind in ("User", "Future", "Deprecation")]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*IGNORED)]

SOURCES = Path(__file__).parents[2] / "model_repository"
FPS, NUM_FRAMES, RATE = 8, 9, 48_000
NUM_SAMPLES = RATE * NUM_FRAMES // FPS
SLICE_STEPS = 4
OPTIONS: VideoOptions = {
    "seed": 7,
    "duration_seconds": NUM_FRAMES / FPS,
    "num_inference_steps": 24,
    "audio_mode": video_pb2.AUDIO_MODE_JOINT,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / "toybox"
    audio = AudioStreamConfig(width=32, num_heads=2)
    write_random_family(folder, replace(DIT, audio=audio))
    card = model_pb2.Model()
    card.CopyFrom(CARD)
    card.features.append(model_pb2.Model.FEATURE_AUDIO_TO_VIDEO)
    card.limits.audio_modes.append(video_pb2.AUDIO_MODE_JOINT)
    (folder / CARD_NAME).write_text(json_format.MessageToJson(card))
    return folder


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    folder: Path = tmp_path_factory.mktemp("repository")
    build_repository(folder, SOURCES, model="toybox", weights=str(weights))
    with TritonServer(TritonServerConfig.on_free_ports(folder, folder / "triton.log")) as running:
        yield running


@pytest.fixture
def service(make_service: ServiceMaker, server: TritonServer) -> Service:
    service = make_service(server.grpc_url)
    service.worker_settings = {"slice_steps": SLICE_STEPS}
    return service


def tone(samples_of_a_radian: int) -> NDArray[np.float32]:
    """Longer than the videos."""
    moments = np.arange(2 * RATE, dtype=np.float32) / samples_of_a_radian
    return (0.5 * np.sin(moments))[None]


async def made(client: AsyncClient, track: str) -> video_pb2.Video:
    created = await client.create_video("a red circle", **OPTIONS, input_audio=track)
    return await ended(client, created.name)


async def ended(client: AsyncClient, name: str) -> video_pb2.Video:
    async with asyncio.timeout(120.0):
        video = await client.wait_for_video(name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    return video


async def upload(client: AsyncClient, path: Path, samples: NDArray[np.float32]) -> str:
    return (await client.upload_media(write_track(path, samples, RATE, "wav"))).name


async def test_picture_follows_the_track_that_is_heard_with_it(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    tracks = [tone(10), tone(60)]
    paths = [tmp_path / "low.mp4", tmp_path / "high.mp4"]
    for samples, path in zip(tracks, paths, strict=True):
        video = await made(client, await upload(client, path.with_suffix(".wav"), samples))
        assert video.spec.audio_mode == video_pb2.AUDIO_MODE_JOINT
        assert video.HasField("lip_sync")
        assert "lip_sync.json" in {each.artifact_id for each in video.artifacts}
        await client.download_video(video.name, path)
        heard = sound_of(path)
        assert heard.shape[1] - NUM_SAMPLES in range(1024)  # what fills the last packet up
        kept = slice(2_000, NUM_SAMPLES - 2_000)
        assert np.abs(heard[0, kept] - samples[0, kept]).max() < 0.05
    one, other = (read_frames(path).astype(float) for path in paths)
    assert len(one) == NUM_FRAMES
    assert np.abs(one - other).max() > 3


async def test_killed_worker_s_picture_comes_out_as_if_nothing_had_been(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    doomed = service.start_worker()
    await until_ready(client)
    track = await upload(client, tmp_path / "track.wav", tone(20))
    created = await client.create_video("a red circle", **OPTIONS, input_audio=track)
    await next_event(client.watch_video(created.name), is_step(SLICE_STEPS + 1))
    send(doomed, signal.SIGKILL)
    service.start_worker()
    resumed = await ended(client, created.name)
    assert resumed.attempt == 2
    assert resumed.artifacts == (await made(client, track)).artifacts


async def test_encoder_hears_as_much_of_a_track_as_the_video_has_latents_for(
    server: TritonServer, weights: Path
) -> None:
    samples = tone(60)[0, ::3]
    vae = load_family(str(weights)).load_audio_encoder(torch.device("cpu"))
    # 9 frames of 8 a second end in the midst of the 29th latent.
    num_samples = 29 * vae.latent_samples
    short = samples[: num_samples // 2]
    client = TritonClient(server.grpc_url, stream_timeout_seconds=20.0)
    for waveform in (samples, short):
        heard = np.zeros(num_samples, np.float32)
        heard[: len(waveform)] = waveform[:num_samples]
        with torch.inference_mode():
            expected = vae.encode(torch.from_numpy(heard)[None, None])[0].numpy()
        latents = await client.encode_sound("toybox", waveform, num_frames=NUM_FRAMES, fps=FPS)
        np.testing.assert_allclose(latents, expected, atol=1e-4)
    await client.close()


async def test_model_that_hears_passes_its_smoke_test(server: TritonServer, weights: Path) -> None:
    card = json_format.Parse((weights / CARD_NAME).read_text(), model_pb2.Model())
    client = TritonClient(server.grpc_url, stream_timeout_seconds=20.0)
    await smoke_test(client, "toybox", card)
    await client.close()


def sound_of(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as container:
        return np.concatenate([each.to_ndarray() for each in container.decode(audio=0)], axis=1)
