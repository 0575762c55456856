"""A slice of denoising in one process: the only one, or a rank of a group that all do the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from telecine.engine.denoise import (
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family
from telecine.engine.numerics import describe_numerics
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig
from telecine.engine.state import DenoiseState


@dataclass(frozen=True)
class Slice:
    """What one request asks for; it is sent as it is to the other ranks of a group.

    Attributes:
        state: what the slice before returned; empty to start from noise.
        preview_steps: steps, counted from 1, to show a preview of.
    """

    prompt: Conditioning
    negative_prompt: Conditioning | None
    config: SamplingConfig
    state: bytes
    num_steps: int
    preview_steps: frozenset[int]


class Denoising:
    """The denoiser of one weights folder on one device; keeps nothing between slices."""

    def __init__(
        self, weights: str, device: torch.device, *, parallel: ParallelConfig = ONE_RANK
    ) -> None:
        self.device = device
        self.family = load_family(weights)
        self.numerics = describe_numerics(device, variant=str(parallel))
        self._denoiser = self.family.load_denoiser(device)
        if parallel.num_ranks > 1:
            # DTensor takes seconds to import.
            from telecine.engine.parallel.mesh import make_mesh  # noqa: PLC0415
            from telecine.engine.parallel.parallelize import parallelize  # noqa: PLC0415

            mesh = make_mesh(parallel, device.type)
            self._denoiser = parallelize(self._denoiser, parallel, mesh)

    def start(self, asked: Slice) -> DenoiseState:
        """The state before the slice's first step.

        Raises:
            CheckpointError: the bytes are no state.
        """
        if asked.state:
            return DenoiseState.from_bytes(asked.state, self.device)
        return initial_state(asked.config, self.device)

    @torch.inference_mode()
    def steps(self, asked: Slice, state: DenoiseState) -> Iterator[StepOutput]:
        """Run the slice from `state`, yielding after each step.

        Raises:
            CheckpointError: the state is not one of this job.
        """
        yield from denoise_slice(
            self._denoiser,
            asked.prompt,
            asked.negative_prompt,
            config=asked.config,
            state=state,
            num_steps=asked.num_steps,
        )
