"""Shows each step of a video as it is made: python docs/examples/live_progress.py "a red circle"

TELECINE_SERVER names the gateway (127.0.0.1:7080); the key is TELECINE_API_KEY, or is found.
"""

import os
import sys

from telecine.client import Client
from telecine.v1 import video_pb2


def told(event: video_pb2.VideoEvent) -> str:
    """Say what happened, in a line."""
    kind = event.WhichOneof("event")
    if kind == "step_finished":
        step = event.step_finished
        left = step.eta.ToTimedelta().total_seconds()
        return f"step {step.step_index} of {step.num_inference_steps}, {left:.1f} s left"
    if kind == "preview":
        return f"a picture of {len(event.preview.image)} bytes, {event.preview.content_type}"
    if kind == "state_changed":
        return video_pb2.Video.State.Name(event.state_changed.state)
    return str(kind)


def main(prompt: str = "a red circle moves left") -> None:
    """Make it, and tell every event until its end."""
    with Client(os.environ.get("TELECINE_SERVER", "127.0.0.1:7080")) as client:
        video = client.create_video(prompt)
        for event in client.watch_video(video.name):
            print(told(event), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
