"""Makes a video and fetches it: python docs/examples/make_and_download.py "a red circle" out.mp4

TELECINE_SERVER names the gateway (127.0.0.1:7080); the key is TELECINE_API_KEY, or is found.
"""

import os
import sys

from telecine.client import Client
from telecine.v1 import video_pb2


def main(prompt: str = "a red circle moves left", path: str = "out.mp4") -> None:
    """Make it, wait, fetch it."""
    with Client(os.environ.get("TELECINE_SERVER", "127.0.0.1:7080")) as client:
        queued = client.create_video(prompt, duration_seconds=1)
        video = client.wait_for_video(queued.name)
        if video.state != video_pb2.Video.STATE_SUCCEEDED:
            sys.exit(f"{video.failure.reason}: {video.failure.message}")
        artifact = client.download_video(video.name, path)
        print(f"{path}: {artifact.size_bytes} bytes, seed {video.spec.seed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
