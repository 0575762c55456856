"""Pictures of any size to those of a video: scaled to cover it, cropped around the middle.

By DALI where it is installed, on the GPU where there is one; else by Pillow, whose results differ
by at most two of 255 levels.
"""

import importlib.util
import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from telecine.backend.gpus import count_gpus

Frames = NDArray[np.uint8]
"""[T, H, W, 3], RGB, 0 to 255."""


class Fitter(Protocol):
    """Scales and crops."""

    def fit(self, frames: Frames, *, height: int, width: int) -> Frames:
        """Frames of any one size -> the same number of frames [T, height, width, 3]."""
        ...


def open_fitter() -> Fitter:
    """Return DALI's, on the first GPU where there is one, or Pillow's where there is no DALI."""
    if not _has_dali():
        return PillowFitter()
    return DaliFitter(gpu=0 if count_gpus() else None)


class PillowFitter:
    """One frame after another, on the CPU."""

    def fit(self, frames: Frames, *, height: int, width: int) -> Frames:
        """See `Fitter`."""
        found_height, found_width = frames.shape[1:3]
        covering = covering_size(found_height, found_width, height=height, width=width)
        top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
        fitted = [
            np.asarray(Image.fromarray(frame).resize(covering[::-1], Image.Resampling.LANCZOS))
            for frame in frames
        ]
        return np.ascontiguousarray(
            np.stack(fitted)[:, top : top + height, left : left + width], np.uint8
        )


class DaliFitter:
    """All frames in one run of a DALI pipeline, which is built once for every size.

    Args:
        gpu: which one it runs on; None for the CPU.
    """

    def __init__(self, *, gpu: int | None) -> None:
        # It takes 700 MB on disk, and not every machine has it.
        dali = importlib.import_module("nvidia.dali")
        fn, is_gpu = dali.fn, gpu is not None

        @dali.pipeline_def(  # type: ignore[untyped-decorator]
            batch_size=1,
            num_threads=1,
            device_id=gpu,
            prefetch_queue_depth=1,
        )
        def describe() -> Any:
            frames = fn.external_source(name="frames", layout="FHWC")
            covering = fn.external_source(name="covering")
            size = fn.external_source(name="size")
            scaled = fn.resize(
                frames.gpu() if is_gpu else frames,
                size=covering,
                interp_type=dali.types.INTERP_LANCZOS3,
                antialias=True,
            )
            return fn.crop(scaled, crop=size, rounding="truncate")

        self._pipeline: Any = describe()
        self._pipeline.build()
        self._is_gpu = is_gpu

    def fit(self, frames: Frames, *, height: int, width: int) -> Frames:
        """See `Fitter`."""
        covering = covering_size(*frames.shape[1:3], height=height, width=width)
        self._pipeline.feed_input("frames", [np.ascontiguousarray(frames)])
        self._pipeline.feed_input("covering", [np.array(covering, np.float32)])
        self._pipeline.feed_input("size", [np.array((height, width), np.float32)])
        (fitted,) = self._pipeline.run()
        return np.array((fitted.as_cpu() if self._is_gpu else fitted).at(0))


def _has_dali() -> bool:
    try:
        return importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:  # nothing at all of NVIDIA's
        return False


def covering_size(
    found_height: int, found_width: int, *, height: int, width: int
) -> tuple[int, int]:
    """Return the height and width, of the found aspect, that just cover the asked ones."""
    scale = max(height / found_height, width / found_width)
    return (
        max(height, math.floor(found_height * scale + 0.5)),
        max(width, math.floor(found_width * scale + 0.5)),
    )
