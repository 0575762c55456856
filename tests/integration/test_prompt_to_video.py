"""From a prompt to a playable video, through every process."""

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image

from telecine.client import AsyncClient
from telecine.v1 import video_pb2

from .conftest import Service
from .waiting import all_events, step_indexes, until, until_ready


async def test_a_prompt_becomes_a_playable_video(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    created = await client.create_video("a red circle moves right", duration_seconds=1.0, seed=5)
    events = await all_events(client, created.name)
    video = await client.get_video(created.name)

    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert (video.num_frames, video.spec.seed, video.progress_percent) == (9, 5, 100)
    assert video.model_digest.startswith("sha256:")
    assert video.charged_microcredits == video.estimated_microcredits > 0
    stages = [e.stage_changed.stage for e in events if e.HasField("stage_changed")]
    assert stages == [
        video_pb2.STAGE_LOADING,
        video_pb2.STAGE_CONDITIONING,
        video_pb2.STAGE_DENOISING,
        video_pb2.STAGE_DECODING,
        video_pb2.STAGE_UPLOADING,
    ]
    assert [timing.stage for timing in video.timings] == stages
    assert step_indexes(events) == list(range(1, 7))
    previews = [e.preview for e in events if e.HasField("preview")]
    assert len(previews) >= 5
    assert Image.open(io.BytesIO(previews[-1].image)).size == (64, 64)
    assert len({e.event_id for e in events}) == len(events)

    await client.download_video(video.name, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.stack(frames).shape == (9, 64, 64, 3)
    await client.download_video(video.name, tmp_path / "still.webp", artifact_id="thumbnail.webp")
    with Image.open(tmp_path / "still.webp") as still:
        assert still.size == (64, 64)
    await until(service.has_no_checkpoints)


async def test_a_video_of_a_minute_is_made_with_a_window(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    service.start_worker()
    await until_ready(client)
    created = await client.create_video(
        "a red circle bouncing", duration_seconds=60.0, fps=16, num_inference_steps=2
    )
    assert (created.num_frames, created.attention) == (961, "window")
    video = await client.wait_for_video(created.name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    await client.download_video(video.name, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 961


async def test_the_same_seed_gives_the_same_file_and_another_seed_another(
    service: Service, client: AsyncClient
) -> None:
    service.start_worker()
    await until_ready(client)
    digests = []
    for seed in (3, 3, 4):
        created = await client.create_video("a blue square", seed=seed, upscale=2)
        video = await client.wait_for_video(created.name)
        assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
        digests.append(video.artifacts[0].digest)
    assert digests[0] == digests[1] != digests[2]
