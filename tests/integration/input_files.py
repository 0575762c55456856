"""Pictures and videos that others are made from, and what is read of those that come of them."""

from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from telecine.backend.frames import to_frames, to_video
from telecine.client import AsyncClient
from telecine.engine.families import load_family
from telecine.media.transcoder import EncodingOptions, Mp4Writer
from telecine.v1 import video_pb2

Frames = NDArray[np.uint8]
CPU = torch.device("cpu")
SIDE, FPS, PROMPT = 64, 8, "a red circle"


def smooth_picture(height: int, width: int) -> Frames:
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 13 + k) * np.cos(columns / 17 - k) for k in range(3)]
    return ((np.stack(waves, -1) + 1) * 127).astype(np.uint8)


def write_png(path: Path, picture: Frames) -> Path:
    Image.fromarray(picture).save(path)
    return path


def write_video(path: Path, num_frames: int) -> Path:
    picture = smooth_picture(SIDE, SIDE)
    frames = np.stack([np.roll(picture, k, axis=1) for k in range(num_frames)])
    return write_frames(path, frames)


def write_frames(path: Path, frames: Frames) -> Path:
    writer = Mp4Writer(path, EncodingOptions(fps=FPS))
    writer.write(frames)
    writer.finish()
    return path


def read_frames(path: Path) -> Frames:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def as_file(frames: Frames, folder: Path) -> Frames:
    return read_frames(write_frames(folder / "expected.mp4", frames))


def psnr(one: Frames, other: Frames) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255.0**2 / max(error, 1e-9)))


@torch.inference_mode()
def through_the_vae(weights: Path, frames: Frames) -> Frames:
    """What the VAE makes of frames: of random weights that is noise."""
    family = load_family(str(weights))
    latents = family.load_image_encoder(CPU).encode(to_video(frames, CPU), num_frames=len(frames))
    return to_frames(family.load_vae(CPU).decode(latents["latents"]))


def fading(source: Frames, decoded: Frames) -> Frames:
    """The source's frames as they turn into the decoded ones, a little more with each."""
    share = ((np.arange(len(source)) + 1) / (len(source) + 1))[:, None, None, None]
    return (source * (1 - share) + decoded * share).round().astype(np.uint8)


async def make(
    client: AsyncClient, folder: Path, **options: object
) -> tuple[video_pb2.Video, Frames]:
    """The video and its frames."""
    created = await client.create_video(PROMPT, seed=5, **options)  # type: ignore[arg-type]
    video = await client.wait_for_video(created.name)
    assert video.state == video_pb2.Video.STATE_SUCCEEDED, video.failure
    path = folder / f"{video.name.removeprefix('videos/')}.mp4"
    await client.download_video(video.name, path)
    frames = read_frames(path)
    assert len(frames) == video.num_frames
    return video, frames
