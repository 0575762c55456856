"""Makes several videos of one prompt, with asyncio, and fetches each as soon as it is done:

python docs/examples/many_videos.py 4 FOLDER

TELECINE_SERVER names the gateway (127.0.0.1:7080); the key is TELECINE_API_KEY, or is found.
"""

import asyncio
import os
import sys
from pathlib import Path

from telecine.client import AsyncClient
from telecine.v1 import video_pb2


async def fetch_when_done(client: AsyncClient, name: str, folder: Path) -> None:
    """Wait for one video and fetch it."""
    video = await client.wait_for_video(name)
    path = folder / f"{video.spec.seed}.mp4"
    if video.state == video_pb2.Video.STATE_SUCCEEDED:
        await client.download_video(name, path)
    print(video_pb2.Video.State.Name(video.state), path)


async def main(number: str = "4", folder: str = ".") -> None:
    """Make them all, over one connection."""
    async with AsyncClient(os.environ.get("TELECINE_SERVER", "127.0.0.1:7080")) as client:
        videos = await client.create_videos("a red circle moves left", int(number))
        async with asyncio.TaskGroup() as fetching:
            for video in videos:
                fetching.create_task(fetch_when_done(client, video.name, Path(folder)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
