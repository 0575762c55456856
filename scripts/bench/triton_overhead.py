"""What Triton itself costs: an empty call, and a denoising step over the same step in-process.

python scripts/bench/triton_overhead.py [--quick] [--threads 1] [--repeats 5] [--steps 8]
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from report import Figure, figure, print_table, write_report
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from telecine.engine.denoise import Conditioning, Denoiser, denoise_slice, initial_state
from telecine.engine.dit.model import DiTConfig
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.engine.families.protocol import Family
from telecine.engine.families.random_weights import write_random_weights
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.vae.causal_vae import CausalVAEConfig
from telecine.inference.requests import PromptEmbeds, SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

BUILD_SCRIPT = Path(__file__).resolve().parents[1] / "build_model_repository.py"
CPU = torch.device("cpu")
PROMPT = "a red circle moving left on a white background"
LATENT_CHANNELS = CausalVAEConfig().latent_channels
VAE = CausalVAEConfig(latents_mean=(0.0,) * LATENT_CHANNELS, latents_std=(1.0,) * LATENT_CHANNELS)
BLANK_CONFIG = """\
name: "blank"
backend: "python"
input { name: "data" data_type: TYPE_UINT8 dims: -1 }
output { name: "data" data_type: TYPE_UINT8 dims: -1 }
instance_group { kind: KIND_CPU }
"""
BLANK_MODEL = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "data") for request in requests]
        return [pb_utils.InferenceResponse([tensor]) for tensor in inputs]
"""


@dataclass(frozen=True)
class Bare:
    """The model in this process."""

    denoiser: Denoiser
    family: Family


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="steps of a slice")
    parser.add_argument("--calls", type=int, default=500, help="blank calls of a repeat")
    parser.add_argument("--width", type=int, default=384, help="of the DiT: sets a step's time")
    parser.add_argument("--size", type=int, default=256, help="pixels of each side")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.calls = 3, 3, 50
        options.width, options.size = 192, 128
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options)
    if options.quick:
        print_table("triton_overhead", rows)
    else:
        write_report("triton_overhead", rows)


def measure(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Builds a repository of a model with random weights and runs both sides in turn."""
    weights, repository = folder / "weights", folder / "model_repository"
    dit = DiTConfig(in_channels=LATENT_CHANNELS, width=options.width, num_blocks=8)
    write_random_weights(weights, BUILT_IN_WEIGHTS / "toybox", dit=dit, vae=VAE)
    command: list[str | Path] = [sys.executable, BUILD_SCRIPT]
    command += ["--weights", weights, "--folder", repository]
    subprocess.run(command, check=True, capture_output=True)
    write_blank_model(repository / "blank")
    config = TritonServerConfig.on_free_ports(
        repository, folder / "triton.log", num_threads=options.threads
    )
    with TritonServer(config) as server:
        return asyncio.run(measure_server(server, weights, options))


async def measure_server(
    server: TritonServer, weights: Path, options: argparse.Namespace
) -> list[Figure]:
    """Measures blank calls, then slices; each repeat runs both sides, in changing order."""
    rows = await measure_blank_calls(server, options)
    client = TritonClient(server.grpc_url, stream_timeout_seconds=120.0)
    prompt = await client.encode_prompt("toybox", PROMPT)
    negative_prompt = await client.encode_prompt("toybox", "")
    request = slice_request(prompt, negative_prompt, options)
    family = load_family(str(weights))
    bare = Bare(family.load_denoiser(CPU), family)
    run_bare(bare, request)
    await run_served(client, request)
    bare_steps, served_steps, inside_steps = [], [], []
    for repeat in range(options.repeats):
        if repeat % 2:
            bare_steps.append(run_bare(bare, request))
        served, inside = await run_served(client, request)
        served_steps.append(served)
        inside_steps.append(inside)
        if not repeat % 2:
            bare_steps.append(run_bare(bare, request))
    await client.close()
    return [*rows, *slice_figures(bare_steps, served_steps, inside_steps, options)]


def slice_figures(
    bare_steps: list[float],
    served_steps: list[float],
    inside_steps: list[float],
    options: argparse.Namespace,
) -> list[Figure]:
    """Compares seconds a step: bare, as the client sees it, as the model measures it."""
    conditions = (
        f"toybox architecture, width {options.width}, 33 frames of {options.size}x{options.size}, "
        f"guidance, slices of {options.steps} steps, {options.threads} thread(s) on both sides, "
        f"{options.repeats} repeats"
    )
    served_and_bare = zip(served_steps, bare_steps, strict=True)
    served_and_inside = list(zip(served_steps, inside_steps, strict=True))
    return [
        figure("a step in-process, s", bare_steps, conditions=conditions),
        figure("a step through dit_sampler, s", served_steps, conditions=conditions),
        figure(
            "step through dit_sampler over the in-process step, % more",
            [100 * (served / bare - 1) for served, bare in served_and_bare],
            goal=0.5,
            conditions=conditions,
        ),
        figure(
            "time of a step outside the model, % of the step",
            [100 * (served / inside - 1) for served, inside in served_and_inside],
            goal=0.5,
            conditions=f"{conditions}; the same steps, so free of the machine's noise",
        ),
        figure(
            "time of a step outside the model, ms",
            [1e3 * (served - inside) for served, inside in served_and_inside],
            conditions=conditions,
        ),
    ]


async def measure_blank_calls(server: TritonServer, options: argparse.Namespace) -> list[Figure]:
    """Round trips of 16 bytes to a Python model that does nothing."""
    tensor = InferInput("data", [16], "UINT8")
    tensor.set_data_from_numpy(np.zeros(16, np.uint8))
    medians, slowest = [], []
    async with InferenceServerClient(server.grpc_url) as client:
        for _ in range(options.repeats + 1):
            seconds = []
            for _ in range(options.calls):
                start = time.perf_counter()
                await client.infer("blank", [tensor])
                seconds.append(time.perf_counter() - start)
            medians.append(1e3 * statistics.median(seconds))
            slowest.append(1e3 * statistics.quantiles(seconds, n=100)[98])
    conditions = f"16 bytes, one caller, {options.calls} calls a repeat, {options.repeats} repeats"
    # The first round warms both ends up.
    return [
        figure("blank Python model, round trip p50, ms", medians[1:], conditions=conditions),
        figure("blank Python model, round trip p99, ms", slowest[1:], conditions=conditions),
    ]


@torch.inference_mode()
def run_bare(bare: Bare, request: SliceRequest) -> float:
    """Returns the seconds a step of the slice takes in this process, its state included."""
    config = sampling_config(
        bare.family,
        VideoSize(request.num_frames, request.height, request.width, request.fps),
        SamplingRequest(
            seed=request.seed,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            sampler=request.sampler,
            attention=request.attention,
        ),
    )
    assert request.negative_prompt is not None
    prompt, negative_prompt = map(conditioning, (request.prompt, request.negative_prompt))
    with timer() as seconds:
        *_, last = denoise_slice(
            bare.denoiser,
            prompt,
            negative_prompt,
            config=config,
            state=initial_state(config, CPU),
            num_steps=request.num_steps,
        )
        last.state.to_bytes()
    return seconds[0] / request.num_steps


async def run_served(client: TritonClient, request: SliceRequest) -> tuple[float, float]:
    """Returns the seconds a step takes as seen from here, and as the model measured them."""
    with timer() as seconds:
        inside = [step.step_seconds async for step in client.denoise_slice("toybox", request)]
    return seconds[0] / request.num_steps, sum(inside) / request.num_steps


@contextmanager
def timer() -> Iterator[list[float]]:
    """Puts the seconds that the block takes into the list it yields."""
    seconds: list[float] = []
    start = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - start)


def slice_request(
    prompt: PromptEmbeds, negative_prompt: PromptEmbeds, options: argparse.Namespace
) -> SliceRequest:
    """The first slice of a longer video."""
    return SliceRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=1,
        num_inference_steps=4 * options.steps,
        guidance_scale=4.0,
        sampler="euler",
        num_frames=33,
        height=options.size,
        width=options.size,
        fps=16,
        attention="full",
        state=b"",
        num_steps=options.steps,
    )


def conditioning(prompt: PromptEmbeds) -> Conditioning:
    """The embeds as the engine takes them."""
    return {name: torch.tensor(values)[None] for name, values in prompt.tensors.items()}


def write_blank_model(folder: Path) -> None:
    """Writes a model that returns its input."""
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(BLANK_CONFIG)
    (folder / "1" / "model.py").write_text(BLANK_MODEL)


if __name__ == "__main__":
    main()
