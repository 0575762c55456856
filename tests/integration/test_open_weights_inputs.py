"""Edits and extensions of Wan folders, through every process: what the engine makes of the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny_wan
from google.protobuf import duration_pb2, json_format

from telecine.backend.model_card import model_card
from telecine.backend.model_repository import build_repository
from telecine.client import AsyncClient
from telecine.engine.families import load_family
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.v1 import model_pb2

from .conftest import Service, ServiceMaker
from .engine_reference import SAME_DB, context_of, made_by_the_engine, stitched
from .input_files import (
    FPS,
    SIDE,
    as_file,
    make,
    psnr,
    read_frames,
    through_the_vae,
    write_video,
)
from .waiting import until_all_ready

# Of diffusers, and of the ONNX exporter.
IGNORED = [f"ignore::{kind}Warning" for kind in ("User", "Future", "Deprecation")]
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*IGNORED), pytest.mark.timeout(900)]

SOURCES = Path(__file__).parents[2] / "model_repository"
# A first frame beside the latents, with CLIP's features; one in the place of the first latents.
VARIANTS: dict[str, tiny_wan.WanVariant] = {"wan-i2v": "2.1-i2v", "wan-ti2v": "2.2-5b"}
NUM_STEPS = 8


class ServedWan(NamedTuple):
    triton: TritonServer
    folders: dict[str, Path]


@pytest.fixture(scope="module")
def served_wan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWan]:
    root: Path = tmp_path_factory.mktemp("wan")
    folders = {model: root / model for model in VARIANTS}
    for model, folder in folders.items():
        tiny_wan.write_wan(folder, VARIANTS[model])
        (folder / "model.json").write_text(json_format.MessageToJson(small_card(folder)))
        build_repository(root / "repository", SOURCES, model=model, weights=str(folder))
    config = TritonServerConfig.on_free_ports(root / "repository", root / "triton.log")
    running = TritonServer(config)
    # Most of its processes import diffusers, which takes long on a busy machine.
    running.start(ready_timeout_seconds=300.0)
    yield ServedWan(running, folders)
    running.stop()


def small_card(folder: Path) -> model_pb2.Model:
    """As `telecine models add` writes it, but for a size and a length that a CPU is quick with."""
    card = model_card(load_family(str(folder)).card, version="random", memory_bytes=1 << 20)
    del card.limits.sizes[:]
    card.limits.sizes.add(width=SIDE, height=SIDE)
    card.defaults.size.CopyFrom(card.limits.sizes[0])
    card.defaults.fps, card.defaults.num_inference_steps = FPS, NUM_STEPS
    card.defaults.duration.CopyFrom(duration_pb2.Duration(seconds=1))
    return card


@pytest.fixture
def service(make_service: ServiceMaker, served_wan: ServedWan) -> Service:
    made = make_service(served_wan.triton.grpc_url)
    made.worker_settings = {
        "models": tuple(map(str, served_wan.folders.values())),
        "slice_steps": 3,
    }
    return made


@pytest.mark.parametrize("model", VARIANTS)
async def test_wan_changes_and_goes_on_with_a_video_as_the_engine_does(
    service: Service, client: AsyncClient, served_wan: ServedWan, tmp_path: Path, model: str
) -> None:
    service.start_worker()
    await until_all_ready(client, num_models=len(VARIANTS))
    folder = served_wan.folders[model]
    upload = await client.upload_media(write_video(tmp_path / "upload.mp4", 13))
    source = read_frames(tmp_path / "upload.mp4")

    kept_db = []
    of_the_vae = as_file(through_the_vae(folder, source[:9]), tmp_path)
    for strength in (0.125, 0.5, 1.0):
        video, made = await make(
            client,
            tmp_path,
            model=model,
            edit_source=upload.name,
            edit_strength=strength,
            duration_seconds=9 / FPS,
        )
        clip = await made_by_the_engine(folder, video, source[:9], triton_url=service.triton_url)
        expected = as_file(clip, tmp_path)
        assert psnr(made, expected) > SAME_DB
        kept_db.append(psnr(made, of_the_vae))
    # Random weights turn a source into noise, the more the stronger.
    assert kept_db[0] > kept_db[1] > kept_db[2], kept_db
    assert kept_db[0] > kept_db[2] + 1, kept_db

    video, longer = await make(
        client,
        tmp_path,
        model=model,
        extend_source=upload.name,
        extend_seconds=8 / FPS,
        duration_seconds=21 / FPS,
    )
    assert video.spec.extend.num_frames == 8
    # What moves, and how, one frame does not tell: there is no overlap to go on with.
    assert (video.spec.extend.num_context_frames, video.spec.extend.num_overlap_frames) == (1, 0)
    context = context_of(source, video.spec.extend)
    clip = await made_by_the_engine(folder, video, context, triton_url=service.triton_url)
    expected = as_file(stitched(source, clip, video.spec.extend), tmp_path)
    assert psnr(longer, expected) > SAME_DB
    # All but the last of the source, which is half what the VAE makes of it, stay as they were.
    assert psnr(longer[:12], as_file(source, tmp_path)[:12]) > 35
    assert not (longer[13:] == longer[12]).all()
