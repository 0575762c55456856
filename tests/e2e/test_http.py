"""The HTTP edge of `telecine up`, with the official Python client."""

import io
import json
from pathlib import Path

import av
import httpx2
import pytest
from openai import OpenAI
from PIL import Image

from .conftest import StartUp


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_a_video_is_made_watched_and_fetched_by_http(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up()
    up.wait_until_up()
    url = up.address("http")
    key = (tmp_path / "data" / "api.key").read_text().strip()
    with OpenAI(api_key=key, base_url=f"{url}/v1") as client:
        video = client.videos.create_and_poll(
            prompt="a red circle moves left",
            seconds="1",  # type: ignore[arg-type]
            extra_body={"num_inference_steps": 4, "seed": 7},
        )
        assert (video.status, video.seconds, video.size) == ("completed", "1", "128x128")
        content = client.videos.download_content(video.id).content
        with av.open(io.BytesIO(content)) as container:
            assert len(list(container.decode(video=0))) == 17
        sheet = client.videos.download_content(video.id, variant="spritesheet").content
        assert Image.open(io.BytesIO(sheet)).size == (5 * 128, 4 * 128)
    headers = {"authorization": f"Bearer {key}"}
    events = httpx2.get(f"{url}/v1/videos/{video.id}/events", headers=headers, timeout=30).text
    data = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
    assert [event["step_index"] for event in data if event["type"] == "step_finished"] == [
        1,
        2,
        3,
        4,
    ]
    assert data[-1]["state"] == "SUCCEEDED"
