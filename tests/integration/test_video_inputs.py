"""Videos made from pictures and from other videos, through every process."""

import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import pytest
from google.protobuf import json_format
from PIL import Image

from telecine.backend.picture_fitting import PillowFitter
from telecine.client import AsyncClient, VideoOptions
from telecine.v1 import model_pb2, video_pb2

from .conftest import CARD, Service
from .engine_reference import SAME_FADE_DB, context_of, made_by_the_engine, stitched
from .input_files import (
    SIDE,
    as_file,
    make,
    psnr,
    read_frames,
    smooth_picture,
    through_the_vae,
    write_png,
    write_video,
)
from .waiting import is_step, next_event, until_ready


@pytest.fixture(scope="session")
def weights(random_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the other tests have it, with what those weights can make videos from."""
    folder: Path = tmp_path_factory.mktemp("models") / "toybox"
    shutil.copytree(random_weights, folder)
    card = model_pb2.Model()
    card.CopyFrom(CARD)
    card.features.extend(
        (
            model_pb2.Model.FEATURE_IMAGE_TO_VIDEO,
            model_pb2.Model.FEATURE_EDIT,
            model_pb2.Model.FEATURE_EXTEND,
        )
    )
    card.limits.chunk_latent_frames, card.limits.max_context_frames = 3, 13
    (folder / "model.json").write_text(json_format.MessageToJson(card))
    return folder


async def test_pictures_and_videos_become_other_videos(
    service: Service, client: AsyncClient, weights: Path, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    picture = smooth_picture(100, 150)
    image = await client.upload_media(write_png(tmp_path / "image.png", picture))

    # In WebM alone, which is read as MP4 is when other videos are made of it.
    webm = [video_pb2.OUTPUT_FORMAT_WEBM_VP9]
    video, made = await make(client, tmp_path, input_image=image.name, output_formats=webm)
    assert video.artifacts[0].artifact_id == "video.webm"
    source = video.name
    fitted = PillowFitter().fit(picture[None], height=SIDE, width=SIDE)
    assert psnr(made[0], as_file(through_the_vae(weights, fitted), tmp_path)[0]) > 30

    # A weak change of a video keeps it, but for what the VAE loses; a strong one does not.
    _, kept = await make(client, tmp_path, edit_source=source, edit_strength=0.01)
    _, changed = await make(client, tmp_path, edit_source=source, edit_strength=1.0)
    expected = as_file(through_the_vae(weights, made), tmp_path)
    assert psnr(kept, expected) > psnr(changed, expected) + 3

    video, longer = await make(client, tmp_path, extend_source=source, extend_seconds=1.0)
    extend = video.spec.extend
    assert (extend.num_frames, extend.num_context_frames, extend.num_overlap_frames) == (8, 5, 3)
    assert len(longer) == len(made) + 8
    clip = await made_by_the_engine(
        weights, video, context_of(made, extend), triton_url=service.triton_url
    )
    assert psnr(longer, as_file(stitched(made, clip, extend), tmp_path)) > SAME_FADE_DB

    # An upload of 20 frames, of which the last 15 begin the result.
    upload = await client.upload_media(write_video(tmp_path / "upload.mp4", 20))
    video, longer = await make(
        client,
        tmp_path,
        extend_source=upload.name,
        extend_seconds=0.5,
        duration_seconds=19 / 8,
    )
    extend = video.spec.extend
    assert (extend.num_frames, extend.num_context_frames, extend.num_overlap_frames) == (4, 9, 3)
    kept = read_frames(tmp_path / "upload.mp4")[5:]
    clip = await made_by_the_engine(
        weights, video, context_of(kept, extend), triton_url=service.triton_url
    )
    assert psnr(longer, as_file(stitched(kept, clip, extend), tmp_path)) > SAME_FADE_DB


async def test_a_lost_worker_s_videos_go_on_bit_for_bit(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    worker = service.start_worker()
    await until_ready(client)
    upload = await client.upload_media(write_video(tmp_path / "upload.mp4", 33))
    image = await client.upload_media(write_png(tmp_path / "i.png", smooth_picture(64, 64)))
    extension: VideoOptions = {"extend_source": upload.name, "extend_seconds": 2.0}
    extension["duration_seconds"] = 6.0
    asked: list[tuple[VideoOptions, int]] = [
        ({"input_image": image.name, "duration_seconds": 3.0}, 25),
        ({"edit_source": upload.name, "edit_strength": 0.8, "duration_seconds": 4.0}, 25),
        # In its first chunk, and in its second, when the kept frames are in a file already.
        (extension, 25),
        (extension, 60),
    ]
    for options, killed_after_step in asked:
        digests = []
        for is_disturbed in (False, True):
            created = await client.create_video(
                "a red circle", seed=9, num_inference_steps=40, **options
            )
            if is_disturbed:
                await next_event(client.watch_video(created.name), is_step(killed_after_step))
                worker.kill()
                worker = service.start_worker()
            video = await client.wait_for_video(created.name)
            assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
            assert video.attempt == (2 if is_disturbed else 1)
            digests.append(video.artifacts[0].digest)
        assert digests[0] == digests[1]


def jpeg_cut_in_half() -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(smooth_picture(64, 64)).save(encoded, "JPEG")
    return encoded.getvalue()[: encoded.tell() // 2]


def png_bomb() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))


async def test_inputs_that_cannot_be_used_fail_their_video_alone(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    whole = write_video(tmp_path / "whole.mp4", 9).read_bytes()
    cases: list[tuple[str, bytes, VideoOptions, str]] = [
        ("cut.jpg", jpeg_cut_in_half(), {}, "spec.input_image: media/"),
        ("bomb.png", png_bomb(), {}, "60000x60000 are more than 16000000 pixels"),
        ("heads.mp4", whole[:64], {}, "spec.edit.source: media/"),
        ("short.mp4", whole, {"duration_seconds": 4.0}, "it has 9 frames at 8 fps; spec.duration"),
        ("cut.mp4", whole[: len(whole) // 2], {}, "spec.edit.source: media/"),
    ]
    for name, data, options, message in cases:
        path = tmp_path / name
        path.write_bytes(data)
        media = await client.upload_media(path)
        field = "edit_source" if path.suffix == ".mp4" else "input_image"
        source: VideoOptions = {field: media.name}  # type: ignore[misc]
        created = await client.create_video("a red circle", **source, **options)
        video = await client.wait_for_video(created.name)
        assert video.state == video_pb2.Video.STATE_FAILED, name
        assert video.failure.reason == "INPUT_UNUSABLE", (name, video.failure)
        assert message in video.failure.message, (name, video.failure)
    lines = (service.folder / "worker-1.log").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    ended = [entry["log.level"] for entry in logged if entry["message"] == "video_failed"]
    assert ended == ["info"] * len(cases)  # nobody is to be called for a client's file
    assert service.processes[-1].is_running
    made = await client.create_video("a red circle", seed=1)
    video = await client.wait_for_video(made.name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert [process.is_running for process in service.processes] == [True, True]
