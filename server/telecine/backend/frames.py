"""Decoded video on its way out: pixels, previews, and chunks paced by their reader."""

import io
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from telecine.engine.families.protocol import VideoVAE
from telecine.inference.frame_ring import INLINE_BYTES, FrameRing

_PREVIEW_PIXELS = 256
_PREVIEW_QUALITY = 80
_POLL_SECONDS = 0.001


def to_frames(video: Tensor) -> NDArray[np.uint8]:
    """[1, 3, T, H, W] in about [-1, 1] -> [T, H, W, 3] uint8."""
    pixels = (video[0].float() + 1.0).mul(127.5).round().clamp(0, 255)
    frames: NDArray[np.uint8] = pixels.byte().permute(1, 2, 3, 0).contiguous().cpu().numpy()
    return frames


def to_video(frames: NDArray[np.uint8], device: torch.device) -> Tensor:
    """[T, H, W, 3] uint8 -> [1, 3, T, H, W] in [-1, 1]; undoes `to_frames`."""
    pixels = torch.from_numpy(np.array(frames)).to(device)
    return pixels.permute(3, 0, 1, 2)[None].float().div(127.5).sub(1.0).contiguous()


def encode_preview(denoised: Tensor, vae: VideoVAE) -> NDArray[np.uint8]:
    """Decode the middle of latents [1, C, T, H, W] alone -> a small WebP's bytes."""
    middle = denoised.shape[2] // 2
    frame = to_frames(vae.decode(denoised[:, :, middle : middle + 1]))[0]
    image = Image.fromarray(frame)
    image.thumbnail((_PREVIEW_PIXELS, _PREVIEW_PIXELS))
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=_PREVIEW_QUALITY)
    return np.frombuffer(encoded.getvalue(), np.uint8)


def send_chunks(
    chunks: Iterable[Tensor], ring: FrameRing | None, is_cancelled: Callable[[], bool]
) -> Generator[dict[str, NDArray[Any]], None, int]:
    """Turn decoded chunks [1, 3, t, H, W] into outputs; returns how many frames they hold.

    With a ring, no chunk is handed on before the reader has taken enough of those before
    it, and large ones lie in the ring instead of in `frames`; one that is larger than a slot
    is sent as several.
    """
    num_frames = 0
    for chunk_index, chunk in enumerate(chunks if ring is None else _pieces(chunks, ring)):
        frames = to_frames(chunk)
        outputs: dict[str, NDArray[Any]] = {"frames_shape": np.array(frames.shape, np.int64)}
        while ring is not None and not ring.has_room(chunk_index):
            if is_cancelled():
                return num_frames
            time.sleep(_POLL_SECONDS)
        if ring is not None and frames.nbytes > INLINE_BYTES:
            ring.write(chunk_index, frames)
        else:
            outputs["frames"] = frames
        num_frames += len(frames)
        yield outputs
    return num_frames


def _pieces(chunks: Iterable[Tensor], ring: FrameRing) -> Iterator[Tensor]:
    """Chunks cut along time to what a slot holds."""
    for chunk in chunks:
        frame_bytes = chunk[0, :, 0].numel()  # one for each number, as pixels
        yield from chunk.split(max(1, ring.slot_bytes // frame_bytes), 2)
