"""A slice of denoising in one process: the only one, or a rank of a group that all do the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from telecine.engine.adapters.lora import applied
from telecine.engine.adapters.lora_shelf import LoraShelf
from telecine.engine.denoise import (
    FROM_NOISE,
    ClipStart,
    Conditioning,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family, weights_folder
from telecine.engine.numerics import describe_numerics
from telecine.engine.offload import LoadOptions
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig
from telecine.engine.state import DenoiseState


@dataclass(frozen=True)
class Slice:
    """What one request asks for; it is sent as it is to the other ranks of a group.

    Attributes:
        state: what the slice before returned; empty to start from noise.
        preview_steps: steps, counted from 1, to show a preview of.
        start: what the video is made from; needed without a state alone.
    """

    prompt: Conditioning
    negative_prompt: Conditioning | None
    config: SamplingConfig
    state: bytes
    num_steps: int
    preview_steps: frozenset[int]
    start: ClipStart = FROM_NOISE


class Denoising:
    """The denoiser of one weights folder on one device; keeps nothing between slices."""

    def __init__(
        self,
        weights: str,
        device: torch.device,
        *,
        parallel: ParallelConfig = ONE_RANK,
        weights_mode: str = "full",
    ) -> None:
        if parallel.num_ranks > 1 and weights_mode != "full":
            raise ValueError(f"weights_mode: {weights_mode}: several ranks hold weights in full")
        self.device = device
        self.family = load_family(weights)
        # Streamed weights are the same numbers; quantised ones are not.
        held = weights_mode if weights_mode in {"int8", "fp8"} else ""
        variant = ", ".join(filter(None, (str(parallel), held)))
        self.numerics = describe_numerics(device, variant=variant)
        self._denoiser = self.family.load_denoiser(device, LoadOptions(weights_mode))
        self._networks = self._denoiser.networks
        self._loras = LoraShelf(weights_folder(weights), self._networks, device=device)
        self._are_layers_split = parallel.tensor_parallel_size > 1
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
            ValueError: what the video is made from does not fit it.
        """
        if asked.state:
            return DenoiseState.from_bytes(asked.state, self.device)
        return initial_state(asked.config, self.device, asked.start)

    @torch.inference_mode()
    def steps(self, asked: Slice, state: DenoiseState) -> Iterator[StepOutput]:
        """Run the slice from `state`, yielding after each step.

        Raises:
            CheckpointError: the state is not one of this job.
            ValueError: an adapter is not there, or does not fit.
        """
        if asked.config.loras and self._are_layers_split:
            raise ValueError("loras: layers that are split over ranks take no adapters")
        with applied(self._networks, self._loras.take(asked.config.loras)):
            yield from denoise_slice(
                self._denoiser,
                asked.prompt,
                asked.negative_prompt,
                config=asked.config,
                state=state,
                num_steps=asked.num_steps,
            )
