"""A video that takes long enough to be broken in the middle, and what becomes of it."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

from telecine.client import AsyncClient
from telecine.local.python_process import PythonProcess
from telecine.v1 import video_pb2

from .conftest import LONG
from .waiting import all_events, is_step, next_event, step_indexes, until_ready

PROMPT = "a red circle moves right"
SLICE_STEPS = 5
ALL_STEPS = set(range(1, LONG["num_inference_steps"] + 1))


async def start_long_video(client: AsyncClient, *, at_step: int = 12) -> str:
    """Returns the name of a video that has done `at_step` steps and has many left."""
    await until_ready(client)
    video = await client.create_video(PROMPT, **LONG)
    await next_event(client.watch_video(video.name), is_step(at_step))
    return video.name


async def finished(client: AsyncClient, name: str) -> video_pb2.Video:
    """Returns the video once it has SUCCEEDED, all its steps told."""
    events = await all_events(client, name)
    video = await client.get_video(name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    assert set(step_indexes(events)) == ALL_STEPS
    return video


async def undisturbed(client: AsyncClient) -> video_pb2.Video:
    """Returns the same video, made without trouble."""
    video = await client.create_video(PROMPT, **LONG)
    return await finished(client, video.name)


async def num_steps_redone(client: AsyncClient, name: str) -> int:
    """Returns how many steps a video's log shows more than once."""
    times = Counter(step_indexes(await all_events(client, name)))
    return sum(count - 1 for count in times.values())


def send(process: PythonProcess, number: signal.Signals) -> None:
    """Sends a signal to a process that runs."""
    assert process.pid is not None
    os.kill(process.pid, number)


async def collect_final_states(checkpoints: Path, states: dict[str, bytes]) -> None:
    """Keeps each video's last checkpoint, which is removed when the video ends."""
    last = f"-{max(ALL_STEPS):06d}.ckpt"
    while True:
        await asyncio.to_thread(read_states, checkpoints, last, states)
        await asyncio.sleep(0.01)


def read_states(checkpoints: Path, suffix: str, states: dict[str, bytes]) -> None:
    """Reads the checkpoints whose names end so, by their video's id."""
    for path in checkpoints.rglob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):
            states[path.parent.name] = path.read_bytes()
