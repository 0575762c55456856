"""Memory, time and accuracy of a denoiser whose weights are held in each of the ways there are.

python scripts/bench/offload.py [--quick] [--width 1024] [--layers 8] [--frames 31] [--size 192]
    [--steps 5] [--repeats 3] [--threads 1]

Random weights of Mochi's architecture; each way runs in a process of its own. On a CPU memory is
the process's own (RssAnon): pages of mapped files are left out, since the kernel takes them back
when it needs them. On a GPU it is what PyTorch has allocated there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from report import Figure, figure, print_table, write_report
from safetensors.torch import load_file, save_file
from torch import Tensor

from telecine.engine.denoise import SamplingConfig
from telecine.engine.families import load_family
from telecine.engine.latents import Latents
from telecine.engine.mochi.model import MochiConfig, MochiTransformer
from telecine.engine.noise import initial_noise
from telecine.engine.offload import WEIGHTS_MODES, LoadOptions
from telecine.engine.offload.weights_files import SINGLE

HEAD_DIM, PROMPT_WIDTH, PROMPT_TOKENS = 64, 256, 64
SAMPLE_SECONDS = 0.005
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Run:
    """What one process found."""

    weights_mode: str
    load_seconds: float
    held_bytes: int
    """Once loaded, above the process without it."""
    peak_bytes: int
    """While denoising, above the process without it."""
    step_seconds: tuple[float, ...]


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--frames", type=int, default=31)
    parser.add_argument("--size", type=int, default=192, help="pixels of each side")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each run")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", default="", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.mode:
        print(json.dumps(asdict(run(options))))
        return
    if options.quick:
        options.width, options.layers, options.repeats, options.steps = 256, 6, 1, 3
        options.frames, options.size = 13, 96
    with tempfile.TemporaryDirectory() as folder:
        options.weights = Path(folder)
        write_weights(options)
        rows = measure(options)
    print_table("offload", rows) if options.quick else write_report("offload", rows)


def write_weights(options: argparse.Namespace) -> None:
    """A folder that holds a transformer alone, in bfloat16, as weights are published."""
    torch.manual_seed(0)
    config = MochiConfig(
        num_attention_heads=options.width // HEAD_DIM,
        attention_head_dim=HEAD_DIM,
        num_layers=options.layers,
        pooled_projection_dim=options.width // 2,
        text_embed_dim=PROMPT_WIDTH,
    )
    network = MochiTransformer(config)
    torch.nn.init.normal_(network.pos_frequencies, std=0.5)
    folder = options.weights / "transformer"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(asdict(config)))
    (options.weights / "model_index.json").write_text('{"_class_name": "MochiPipeline"}')
    save_file({k: v.bfloat16() for k, v in network.state_dict().items()}, folder / SINGLE)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Runs each way in turn, several times."""
    # On a CPU `offload` is `disk`, and there is no FP8.
    on_gpu_alone = () if DEVICE.type == "cuda" else ("offload", "fp8")
    modes = [mode for mode in WEIGHTS_MODES if mode not in on_gpu_alone]
    runs: dict[str, list[Run]] = {mode: [] for mode in modes}
    for repeat in range(options.repeats):
        for mode in modes if repeat % 2 == 0 else reversed(modes):
            runs[mode].append(run_in_child(mode, options))
    conditions = (
        f"Mochi's architecture, random weights, width {options.width}, {options.layers} blocks, "
        f"{options.frames} frames of {options.size}x{options.size}, guided, {DEVICE.type}, "
        f"{options.threads} thread(s), {options.repeats} runs of {options.steps} steps"
    )
    exact = load_file(velocity_path(options.weights, "full"))["velocity"]
    rows = []
    for mode, found in runs.items():
        rows += [
            figure(f"{mode}: load, s", [each.load_seconds for each in found]),
            figure(f"{mode}: held once loaded, MB", [each.held_bytes / 1e6 for each in found]),
            figure(f"{mode}: peak while denoising, MB", [each.peak_bytes / 1e6 for each in found]),
            figure(f"{mode}: step, s", [s for each in found for s in each.step_seconds]),
        ]
        if mode != "full":
            velocity = load_file(velocity_path(options.weights, mode))["velocity"]
            error = float((velocity - exact).norm() / exact.norm())
            rows.append(figure(f"{mode}: relative error of the velocity", [error]))
    return [Figure(**{**asdict(row), "conditions": conditions}) for row in rows]


def run_in_child(mode: str, options: argparse.Namespace) -> Run:
    """One way, in a process of its own."""
    names = ("frames", "size", "steps", "threads", "weights")
    arguments = [text for name in names for text in (f"--{name}", str(getattr(options, name)))]
    command = [sys.executable, __file__, "--mode", mode, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    found = json.loads(child.stdout)
    return Run(**{**found, "step_seconds": tuple(found["step_seconds"])})


@torch.inference_mode()
def run(options: argparse.Namespace) -> Run:
    """Loads, takes a step that is not timed, then the timed ones."""
    family = load_family(str(options.weights))
    frames = (options.frames - 1) // 6 + 1
    shape = (1, 12, frames, options.size // 8, options.size // 8)
    config = SamplingConfig(
        seed=0,
        num_inference_steps=options.steps,
        guidance_scale=4.5,
        sampler="euler",
        sigmas=(),
        latents_shape=shape,
        fps=30,
    )
    latents = Latents(initial_noise(shape, 0).video.to(DEVICE))
    prompts = [random_prompt(seed) for seed in (1, 2)]
    before = used_bytes()
    start = time.perf_counter()
    denoiser = family.load_denoiser(DEVICE, LoadOptions(options.mode))
    load_seconds = time.perf_counter() - start
    held = used_bytes() - before
    velocity = denoiser.begin(*prompts, config)
    result = velocity(latents, 0.7)
    with Peak() as peak:
        seconds = [timed(lambda: velocity(latents, 0.7)) for _ in range(options.steps)]
    save_file({"velocity": result.video.cpu()}, velocity_path(options.weights, options.mode))
    return Run(options.mode, load_seconds, held, peak.num_bytes - before, tuple(seconds))


def random_prompt(seed: int) -> dict[str, Tensor]:
    """What a text encoder would give."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "prompt_embeds": torch.randn(1, PROMPT_TOKENS, PROMPT_WIDTH, generator=generator).to(
            DEVICE
        ),
        "attention_mask": torch.ones(1, PROMPT_TOKENS, dtype=torch.int64, device=DEVICE),
    }


def timed(call: object) -> float:
    """Seconds that a call takes, until the device has done it."""
    assert callable(call)
    start = time.perf_counter()
    call()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def velocity_path(weights: Path, mode: str) -> Path:
    """Where a run leaves what the network answered."""
    return weights / f"{mode}.safetensors"


def used_bytes() -> int:
    """Memory in use now."""
    if DEVICE.type == "cuda":
        return torch.cuda.memory_allocated()
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


class Peak:
    """The most memory in use while a block runs."""

    num_bytes = 0

    def __enter__(self) -> "Peak":
        self._is_done = threading.Event()
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._sampler.join()
        if DEVICE.type == "cuda":
            self.num_bytes = torch.cuda.max_memory_allocated()

    def _sample(self) -> None:
        while not self._is_done.wait(SAMPLE_SECONDS):
            self.num_bytes = max(self.num_bytes, used_bytes())


if __name__ == "__main__":
    main()
