"""A slice of denoising, from tensors to tensors."""

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from telecine.backend.denoising import Denoising, DenoisingConfig, Slice
from telecine.backend.devices import choose_device, memory_given_back, wait_for
from telecine.backend.frames import encode_preview
from telecine.backend.rank_group import RankGroup
from telecine.engine.denoise import StepOutput
from telecine.engine.families.protocol import Family
from telecine.engine.state import DenoiseState

Arrays = dict[str, NDArray[Any]]


class SliceSampler:
    """The denoiser of one weights folder on its devices; keeps nothing between slices.

    Attributes:
        device: where it is and takes its tensors.
    """

    def __init__(self, config: DenoisingConfig) -> None:
        self.device = choose_device()
        self._group = RankGroup(config) if config.parallel.num_ranks > 1 else None
        self._denoising = Denoising(config, self.device)
        self._vae = self.family.load_vae(self.device)
        if self._group is not None:
            self._group.await_ready()

    def close(self) -> None:
        """End what other processes it has."""
        if self._group is not None:
            self._group.close()

    @property
    def family(self) -> Family:
        """Whose denoiser it is."""
        return self._denoising.family

    @property
    def image_conditioning(self) -> tuple[str, ...]:
        """Names of what the denoiser may read of a first frame."""
        return (
            tuple(self.family.image_conditioning) if self.family.card.is_made_from_pictures else ()
        )

    def run(self, read_slice: Callable[[], Slice]) -> Generator[Arrays, None, None]:
        """Yield the outputs of each step; those of the last one hold the new state.

        The slice is read inside, so that a bad request fails like a bad step: to its sender.

        Raises:
            CheckpointError: the state is not one of this job.
            ValueError: there is no step to do.
        """
        with memory_given_back(self.device):
            yield from self._run(read_slice)

    @torch.inference_mode()
    def _run(self, read_slice: Callable[[], Slice]) -> Generator[Arrays, None, None]:
        asked = read_slice()
        state = self._denoising.start(asked)
        numerics = self._denoising.numerics
        is_foreign = bool(asked.state) and state.numerics != numerics
        first_index = asked.config.first_step_from(state.step_index)
        chunk = asked.config.chunk_at(first_index)
        last_index = min(first_index + asked.num_steps, chunk.end_step)
        if last_index <= first_index:
            raise ValueError(f"num_steps: nothing to do after step {state.step_index}")
        start_time = time.perf_counter()
        for step in self._steps(asked, state):
            wait_for(self.device)
            outputs = _describe(step, time.perf_counter() - start_time)
            outputs["is_numerics_changed"] = np.array([is_foreign], np.int64)
            if step.step_index in asked.preview_steps:
                outputs["preview"] = encode_preview(step.denoised, self._vae)
            if step.step_index == last_index:
                made = replace(step.state, numerics=numerics)
                outputs["state"] = np.frombuffer(made.to_bytes(), np.uint8)
            yield outputs
            start_time = time.perf_counter()

    def _steps(self, asked: Slice, state: DenoiseState) -> Generator[StepOutput, None, None]:
        if self._group is None:
            return self._denoising.steps(asked, state)
        return self._group.steps(self._denoising, asked, state)


def _describe(step: StepOutput, step_seconds: float) -> Arrays:
    return {
        "step_index": np.array([step.step_index], np.int64),
        "sigma": np.array([step.sigma], np.float64),
        "step_seconds": np.array([step_seconds], np.float64),
        "num_final_frames": np.array([step.num_final_frames], np.int64),
    }
