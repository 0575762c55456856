"""Both sides of `families.py` in one process, started by that with tests/fixtures at hand."""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import tiny_ltx2
import tiny_mochi
import tiny_wan
import torch
from ceiling import ceiling_of
from decode import memory_bytes
from diffusers import MochiPipeline
from torch import Tensor

from telecine.engine.denoise import SamplingConfig, denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.engine.families.ltx2 import LTX2Family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.latents import Latents
from telecine.engine.ltx2.guidance import LTX2Guidance

CPU = torch.device("cpu")
SEED = 3
PROMPT, NEGATIVE_PROMPT = "a red circle moves left over the sea", "blurry, static"
LTX2_GUIDANCE = LTX2Guidance(skipping_blocks=frozenset({3}))


@dataclass(frozen=True)
class Case:
    """A family's folder and video.

    Attributes:
        described: its sizes, for people.
        write: writes the folder.
        open_pipeline: opens it with diffusers.
        pipeline_options: what its pipeline takes beside the common arguments.
    """

    described: str
    write: Callable[[Path], None]
    open_pipeline: Callable[[Path], Any]
    size: VideoSize
    guidance_scale: float
    pipeline_options: dict[str, Any] = field(default_factory=dict)


def _open_mochi(folder: Path) -> Any:
    pipeline = MochiPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _open_ltx2(folder: Path) -> Any:
    pipeline = tiny_ltx2.load_pipeline(folder)
    # Its callback is kept from the latents otherwise.
    pipeline._callback_tensor_inputs = ["latents", "audio_latents"]
    return pipeline


WAN_SIZES = tiny_wan.WanSizes(num_heads=6, head_dim=64, ffn_dim=1536, num_layers=8, text_width=64)
CASES = {
    "wan": Case(
        "Wan 2.1 T2V of 8 blocks, width 384, 17 frames of 192x128",
        lambda folder: tiny_wan.write_wan(folder, sizes=WAN_SIZES, scheduler="euler"),
        tiny_wan.load_pipeline,
        VideoSize(17, 128, 192, 16),
        5.0,
    ),
    "ltx2": Case(
        "LTX-2.0 of 6 blocks, widths 384 and 192, 33 frames of 256x192 with sound",
        lambda folder: tiny_ltx2.write_tiny_ltx2(
            folder,
            sizes=tiny_ltx2.LTX2Sizes(num_heads=6, video_head=64, audio_head=32, num_layers=6),
        ),
        _open_ltx2,
        VideoSize(33, 192, 256, 24),
        3.0,
        {
            "frame_rate": 24.0,
            "spatio_temporal_guidance_blocks": sorted(LTX2_GUIDANCE.skipping_blocks),
            "callback_on_step_end_tensor_inputs": ["latents", "audio_latents"],
        },
    ),
    "mochi": Case(
        "Mochi of 6 blocks, width 384, 25 frames of 192x128",
        lambda folder: tiny_mochi.write_tiny_mochi(folder, num_layers=6, num_heads=6, head_dim=64),
        _open_mochi,
        VideoSize(25, 128, 192, 30),
        4.5,
    ),
}


class Made(NamedTuple):
    """CPU seconds of one video, and its last latents."""

    step: float
    video: float
    first_frames: float
    latents: Tensor

    def times(self) -> dict[str, float]:
        """The seconds by name."""
        return {"step": self.step, "video": self.video, "first_frames": self.first_frames}


class Ours:
    """The engine, with everything loaded."""

    def __init__(self, case: Case, folder: Path, num_steps: int) -> None:
        self._case, self._num_steps = case, num_steps
        self._family = load_family(str(folder))
        self._encoder = PromptEncoder(self._family)
        self._vae = self._family.load_vae(CPU)
        self._denoiser, self._audio = self._family.load_denoiser(CPU), None
        if isinstance(self._family, LTX2Family):
            self._denoiser = self._family.load_denoiser(CPU, guidance=LTX2_GUIDANCE)
            self._audio = self._family.load_audio_decoder(CPU)

    @torch.inference_mode()
    def make(self) -> Made:
        """Makes one video, frame by frame where the decoder can."""
        start = time.process_time()
        config = self._config()
        state, ends = initial_state(config, CPU), []
        steps = denoise_slice(
            self._denoiser,
            *self._prompts(),
            config=config,
            state=state,
            num_steps=config.num_steps,
        )
        for step in steps:
            state = step.state
            ends.append(time.process_time())
        first_frames = 0.0
        for _ in self._vae.decode_chunks(state.latents):
            first_frames = first_frames or time.process_time() - start
        if self._audio is not None and state.audio_latents is not None:
            self._audio.decode(state.audio_latents)
        video = time.process_time() - start
        return Made(_median_gap(ends), video, first_frames, state.latents)

    def step_once(self) -> None:
        """One evaluation, all that a job's steps share being there already."""
        config = self._config()
        state = initial_state(config, CPU)
        velocity = self._denoiser.begin(*self._prompts(), config)
        latents = Latents(state.latents, state.audio_latents)
        velocity(latents, config.sigmas[1])

    def _prompts(self) -> tuple[Any, Any]:
        return self._encoder.encode(PROMPT), self._encoder.encode(NEGATIVE_PROMPT)

    def _config(self) -> SamplingConfig:
        request = SamplingRequest(
            seed=SEED,
            num_inference_steps=self._num_steps,
            guidance_scale=self._case.guidance_scale,
            sampler="euler",
            attention="full",
        )
        return sampling_config(self._family, self._case.size, request)


class Diffusers:
    """The pipeline on the same folder."""

    def __init__(self, case: Case, folder: Path, num_steps: int) -> None:
        self._case, self._num_steps = case, num_steps
        self._pipeline = case.open_pipeline(folder)

    def make(self) -> Made:
        """Makes one video."""
        case, ends = self._case, []
        last: list[Tensor] = []

        def remember(*arguments: Any) -> Any:
            tensors = arguments[-1]
            ends.append(time.process_time())
            last[:] = [tensors["latents"]]
            return tensors

        start = time.process_time()
        self._pipeline(
            prompt=PROMPT,
            negative_prompt=NEGATIVE_PROMPT,
            num_frames=case.size.num_frames,
            height=case.size.height,
            width=case.size.width,
            num_inference_steps=self._num_steps,
            guidance_scale=case.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(SEED),
            output_type="pt",
            callback_on_step_end=remember,
            **case.pipeline_options,
        )
        video = time.process_time() - start
        return Made(_median_gap(ends), video, video, last[0])


def main() -> None:
    """Does one task and prints its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("write", "times", "memory-ours", "memory-diffusers"))
    parser.add_argument("family", choices=tuple(CASES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of diffusers' loading
    torch.set_num_threads(options.threads)
    case = CASES[options.family]
    if options.task == "write":
        case.write(options.folder)
        print(json.dumps(case.described))
    elif options.task == "times":
        print(json.dumps(compare(case, options)))
    else:
        side = Ours if options.task == "memory-ours" else Diffusers
        print(json.dumps({"peak": peak_bytes(side(case, options.folder, options.steps))}))


def compare(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, the order reversed each time, after one video of each to warm up."""
    ours = Ours(case, options.folder, options.steps)
    theirs = Diffusers(case, options.folder, options.steps)
    expected, found = theirs.make(), ours.make()
    times: dict[str, Any] = {"ours": [], "diffusers": []}
    for repeat in range(options.repeats):
        sides = [("ours", ours), ("diffusers", theirs)]
        for name, side in sides if repeat % 2 == 0 else reversed(sides):
            times[name].append(side.make().times())
    times["difference"] = difference(found.latents, expected.latents)
    ceiling = ceiling_of(ours.step_once)
    times["ceiling"] = ceiling._asdict()
    return times


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value; tokens are turned into latents."""
    if expected.ndim == 3:
        found = found.flatten(2).transpose(1, 2)
    return float((found - expected).abs().max() / expected.abs().max())


def peak_bytes(side: Ours | Diffusers) -> int:
    """How far a video raises this process's memory above what it held when loaded."""
    Path("/proc/self/clear_refs").write_text("5")  # Linux: 5 resets VmHWM
    before = memory_bytes("VmRSS")
    side.make()
    return memory_bytes("VmHWM") - before


def _median_gap(ends: list[float]) -> float:
    return statistics.median(later - end for end, later in pairwise(ends))


if __name__ == "__main__":
    main()
