"""A slice of denoising in one process: the only one, or a rank of a group that all do the same."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch

from telecine.engine.adapters.lora import applied
from telecine.engine.adapters.lora_shelf import LoraShelf
from telecine.engine.denoise import (
    FROM_NOISE,
    ClipStart,
    Conditioning,
    Denoiser,
    SamplingConfig,
    StepOutput,
    denoise_slice,
    initial_state,
)
from telecine.engine.families import load_family, weights_folder
from telecine.engine.numerics import describe_numerics
from telecine.engine.offload.options import FULL, LoadOptions
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig, require_layout
from telecine.engine.state import DenoiseState

_CPU = torch.device("cpu")
_MAX_TIMEOUT_SECONDS = 3600.0


@dataclass(frozen=True)
class Slice:
    """What one request asks for.

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

    def told(self, state: DenoiseState) -> Self:
        """What other ranks are told: with the state there, they need not what it began from."""
        return replace(self.on(_CPU), state=state.to_bytes(), start=FROM_NOISE)

    def on(self, device: torch.device) -> Self:
        """The same with its prompts on a device."""

        def moved(conditioning: Conditioning) -> Conditioning:
            return {name: tensor.to(device) for name, tensor in conditioning.items()}

        negative = self.negative_prompt
        return replace(
            self,
            prompt=moved(self.prompt),
            negative_prompt=None if negative is None else moved(negative),
        )


@dataclass(frozen=True)
class DenoisingConfig:
    """Which denoiser, and how it is held; the same on every rank of a group.

    Attributes:
        weights: the built-in family's name, or a folder.
        rank_timeout_seconds: how long ranks wait for one another.
    """

    weights: str
    weights_mode: str = FULL.weights_mode
    parallel: ParallelConfig = ONE_RANK
    rank_timeout_seconds: float = 60.0

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self:
        """Read a model's parameters of config.pbtxt.

        Raises:
            ValueError: a value is impossible; its name is in the message.
        """
        text = parameters.get("rank_timeout_seconds", str(cls.rank_timeout_seconds))
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0.0 < seconds <= _MAX_TIMEOUT_SECONDS:
            raise ValueError(f"rank_timeout_seconds: {text} is not 0 to {_MAX_TIMEOUT_SECONDS:g}")
        return cls(
            weights=parameters["weights"],
            weights_mode=parameters.get("weights_mode", cls.weights_mode),
            parallel=ParallelConfig.from_parameters(parameters),
            rank_timeout_seconds=seconds,
        )


class Denoising:
    """The denoiser of one weights folder on one device; keeps nothing between slices.

    In a group every rank makes one at the same time, torch.distributed being initialised.
    """

    def __init__(self, config: DenoisingConfig, device: torch.device) -> None:
        parallel, weights_mode = config.parallel, config.weights_mode
        self.device = device
        self.family = load_family(config.weights)
        require_layout(self.family.parallel_plan, parallel, weights_mode=weights_mode)
        # Streamed weights are the same numbers; quantised ones are not.
        held = weights_mode if weights_mode in {"int8", "fp8"} else ""
        variant = ", ".join(filter(None, (str(parallel), held)))
        self.numerics = describe_numerics(device, variant=variant)
        self._denoiser = self._load(config)
        self._networks = self._denoiser.networks
        self._loras = LoraShelf(weights_folder(config.weights), self._networks, device=device)
        self._are_layers_split = parallel.tensor_parallel_size > 1

    def _load(self, config: DenoisingConfig) -> Denoiser:
        if config.parallel.num_ranks == 1:
            return self.family.load_denoiser(self.device, LoadOptions(config.weights_mode))
        # DTensor takes seconds to import.
        from telecine.engine.parallel.mesh import make_mesh  # noqa: PLC0415
        from telecine.engine.parallel.parallelize import RankPart  # noqa: PLC0415

        mesh = make_mesh(config.parallel, self.device.type)
        part = RankPart(self.family.card.family, config.parallel, mesh)
        options = LoadOptions(config.weights_mode, part.after_block)
        return part.of(self.family.load_denoiser(self.device, options))

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
    def steps(self, asked: Slice, state: DenoiseState) -> Generator[StepOutput, None, None]:
        """Run the slice from `state`, yielding after each step.

        Raises:
            CheckpointError: the state is not one of this job.
            ValueError: an adapter is not there, or does not fit.
        """
        if asked.config.loras and self._are_layers_split:
            raise ValueError("loras: layers that are split over ranks take no adapters")
        loras = self._loras.take(asked.config.loras)
        # What a denoiser keeps of an adapter does not outlive a change of its file.
        uses = zip(asked.config.loras, loras, strict=True)
        stamped = tuple(use._replace(stamp=lora.stamp) for use, (lora, _) in uses)
        with applied(self._networks, loras):
            yield from denoise_slice(
                self._denoiser,
                asked.prompt,
                asked.negative_prompt,
                config=replace(asked.config, loras=stamped),
                state=state,
                num_steps=asked.num_steps,
            )
