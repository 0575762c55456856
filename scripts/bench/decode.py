"""Streaming decode of the VAE against decoding the whole clip at once, in this process.

python scripts/bench/decode.py [--quick] [--frames 81] [--size 256] [--repeats 5] [--threads 1]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from report import Figure, figure, print_table, write_report
from torch import Tensor

from telecine.engine.vae.causal_vae import CausalVAE, CausalVAEConfig

NUM_FIRST_FRAMES = 5
KEEP_NOTHING = "freed blocks go back to the kernel, so that what is held alone counts"
KEEP_ALL = "freed blocks stay with the process, with the holes between them"


@torch.inference_mode()
def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--size", type=int, default=256, help="pixels of each side")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_only:
        print(json.dumps(decode_peak_bytes(options.frames, options.size)))
        return
    if options.quick:
        options.repeats, options.size = 2, 128
        print_table("decode", measure(options))
    else:
        write_report("decode", measure(options))


def measure(options: argparse.Namespace) -> list[Figure]:
    """Runs both sides in turn and returns the figures."""
    vae, latents = random_vae(), random_latents(options.frames, options.size)
    conditions = (
        f"toybox VAE, {options.frames} frames of {options.size}x{options.size}, float32, "
        f"{options.threads} thread(s), {options.repeats} repeats"
    )
    times = time_decodes(vae, latents, options.repeats)
    is_exact = torch.equal(torch.cat(list(vae.decode_chunks(latents)), dim=2), vae.decode(latents))
    return [
        figure(
            f"time to the first {NUM_FIRST_FRAMES} frames / whole decode",
            [to_first / whole for to_first, _, whole in times],
            goal=0.10,
            conditions=conditions,
        ),
        figure(
            "streaming decode / one-shot decode",
            [total / whole for _, total, whole in times],
            goal=1.05,
            conditions=conditions,
        ),
        *peak_figures(options, conditions),
        figure(
            "streaming equals one-shot bit for bit (1 = yes)",
            [float(is_exact)],
            goal=1.0,
            better="higher",
            conditions=conditions,
        ),
        figure("one-shot decode, s", [whole for *_, whole in times], conditions=conditions),
        figure("streaming decode, s", [total for _, total, _ in times], conditions=conditions),
    ]


def peak_figures(options: argparse.Namespace, conditions: str) -> list[Figure]:
    """Measures the memory of a clip and of one four times as long."""
    longer = 4 * (options.frames - 1) + 1
    held, served = (
        [
            (peak_in_child(options.frames, options, kept), peak_in_child(longer, options, kept))
            for _ in range(options.repeats)
        ]
        for kept in (KEEP_NOTHING, KEEP_ALL)
    )
    conditions = f"{conditions}; peak above the loaded model, own process each"
    return [
        figure(
            f"peak memory of decoding {longer} frames / {options.frames} frames, streaming",
            [long / short for short, long in held],
            goal=1.05,
            conditions=f"{conditions}; {KEEP_NOTHING}",
        ),
        figure(
            "the same where the C library keeps what is freed, as in the service",
            [long / short for short, long in served],
            goal=1.05,
            conditions=f"{conditions}; {KEEP_ALL}",
        ),
        figure(
            "peak memory of streaming decode, MiB",
            [short / 2**20 for short, _ in held],
            conditions=f"{conditions}; {KEEP_NOTHING}",
        ),
    ]


def time_decodes(vae: CausalVAE, latents: Tensor, repeats: int) -> list[tuple[float, float, float]]:
    """Returns seconds to the first frames, of the whole stream, and of one-shot, each repeat."""
    stream(vae, latents)
    times = []
    for _ in range(repeats):
        whole = timed(lambda: vae.decode(latents))
        times.append((*stream(vae, latents), whole))
    return times


def random_vae() -> CausalVAE:
    """The built-in VAE's architecture, with random weights: speed does not depend on them."""
    torch.manual_seed(0)
    channels = CausalVAEConfig().latent_channels
    config = CausalVAEConfig(latents_mean=(0.0,) * channels, latents_std=(1.0,) * channels)
    return CausalVAE(config).eval().requires_grad_(requires_grad=False)


def random_latents(num_frames: int, size: int) -> Tensor:
    """Latents of one clip, [1, C, T', H', W']."""
    config = CausalVAEConfig()
    side, latent_frames = size // config.spatial_scale, (num_frames - 1) // 4 + 1
    return torch.randn(1, config.latent_channels, latent_frames, side, side)


def stream(vae: CausalVAE, latents: Tensor) -> tuple[float, float]:
    """Returns the seconds until the first frames, and until the last."""
    start = time.perf_counter()
    chunks = vae.decode_chunks(latents)
    num_frames = 0
    while num_frames < NUM_FIRST_FRAMES:
        num_frames += next(chunks).shape[2]
    to_first = time.perf_counter() - start
    for _ in chunks:
        pass
    return to_first, time.perf_counter() - start


def timed(call: Callable[[], object]) -> float:
    """Returns the seconds that `call` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def decode_peak_bytes(num_frames: int, size: int) -> int:
    """Returns how far a streaming decode raises this process's memory above what it held."""
    vae, latents = random_vae(), random_latents(num_frames, size)
    # Linux: 5 makes the peak (VmHWM) count from here.
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_bytes("VmRSS")
    stream(vae, latents)
    return memory_bytes("VmHWM") - before


def memory_bytes(name: str) -> int:
    """Returns one of the sizes in /proc/self/status."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def peak_in_child(num_frames: int, options: argparse.Namespace, kept: str) -> int:
    """Runs `decode_peak_bytes` in a process of its own, whose C library keeps `kept`."""
    threshold = {KEEP_NOTHING: 1 << 16, KEEP_ALL: 1 << 30}[kept]
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": str(threshold),
        "MALLOC_TRIM_THRESHOLD_": str(threshold),
    }
    command = [sys.executable, __file__, "--peak-only", f"--frames={num_frames}"]
    command += [f"--size={options.size}", f"--threads={options.threads}"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(json.loads(answer.stdout))


if __name__ == "__main__":
    main()
