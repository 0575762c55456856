"""A served video, CreateVideo to SUCCEEDED, against the same in plain PyTorch in one process.

python scripts/bench/served_over_bare.py [--quick] [--steps 20] [--repeats 5] [--threads 1]
"""

import argparse
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bare_pipeline import BarePipeline, BareTimes, Wanted
from report import Figure, figure, print_table, write_report
from whole_service import whole_service

from telecine.client import Client
from telecine.engine.dit.model import DiTConfig
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.families.random_weights import write_random_weights
from telecine.engine.vae.causal_vae import CausalVAEConfig
from telecine.v1 import video_pb2

BUILT_IN = BUILT_IN_WEIGHTS / "toybox"
SLOW_MODEL = "slowbox"
MODEL_STAGES = (
    video_pb2.STAGE_CONDITIONING,
    video_pb2.STAGE_DENOISING,
    video_pb2.STAGE_DECODING,
)


@dataclass(frozen=True)
class Served:
    """A served video's seconds, as its client and as the service saw them."""

    total: float
    create: float
    queued: float
    stages: dict[int, float]

    @property
    def outside_model_stages(self) -> float:
        """All but conditioning, denoising and decoding with encoding."""
        return self.total - sum(self.stages.get(stage, 0.0) for stage in MODEL_STAGES)


def main() -> None:
    """Reads the command line, measures, reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial: small, nothing written")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, on both sides")
    parser.add_argument("--width", type=int, default=384, help="of the DiT: sets a step's time")
    parser.add_argument("--size", type=int, default=256, help="pixels of each side")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps, options.width, options.size = 2, 4, 192, 128
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="telecine-bench-") as folder:
        rows = measure(Path(folder), options)
    if options.quick:
        print_table("served_over_bare", rows)
    else:
        write_report("served_over_bare", rows)


def measure(folder: Path, options: argparse.Namespace) -> list[Figure]:
    """Measures a model whose steps are slow, then the built-in one."""
    slow, toybox = folder / SLOW_MODEL, folder / "toybox"
    write_slow_model(slow, options)
    shutil.copytree(BUILT_IN, toybox)
    wanted = Wanted(
        prompt="a red circle moving left on a white background",
        seed=1,
        num_inference_steps=options.steps,
        guidance_scale=4.0,
        num_frames=33,
        fps=16,
        size=options.size,
    )
    small = Wanted(**{**vars(wanted), "size": 128})
    with whole_service(folder, [slow, toybox], threads=options.threads) as client:
        return [
            *compare(client, slow, wanted, options),
            *compare(client, toybox, small, options, is_goal=False),
        ]


def compare(
    client: Client,
    weights: Path,
    wanted: Wanted,
    options: argparse.Namespace,
    *,
    is_goal: bool = True,
) -> list[Figure]:
    """Runs both sides in turn, in changing order, after one run of each to warm up."""
    pipeline = BarePipeline(weights)
    path = weights.parent / "bare.mp4"
    pipeline.make(wanted, path)
    serve(client, weights.name, wanted)
    served: list[Served] = []
    bare: list[BareTimes] = []
    for repeat in range(options.repeats):
        if repeat % 2:
            bare.append(pipeline.make(wanted, path))
        served.append(serve(client, weights.name, wanted))
        if not repeat % 2:
            bare.append(pipeline.make(wanted, path))
    step = min(times.denoising for times in bare) / wanted.num_inference_steps
    conditions = (
        f"{weights.name}: {wanted.num_inference_steps} steps of {step:.2f} s, 33 frames of "
        f"{wanted.size}x{wanted.size}, guidance, MP4, {options.threads} thread(s) on both sides, "
        f"{options.repeats} repeats"
    )
    return [
        figure(
            f"{weights.name}: served over bare",
            [a.total / b.total for a, b in zip(served, bare, strict=True)],
            goal=1.05 if is_goal else None,
            conditions=conditions,
        ),
        figure(
            f"{weights.name}: share of a request outside model stages, %",
            [100 * times.outside_model_stages / times.total for times in served],
            goal=1.0 if is_goal else None,
            conditions=conditions,
        ),
        *places(weights.name, served, bare, conditions),
    ]


def places(
    model: str, served: list[Served], bare: list[BareTimes], conditions: str
) -> list[Figure]:
    """Says where the time goes, place by place."""
    rows = {
        "bare, s": [times.total for times in bare],
        "bare: prompt encoding, ms": [1e3 * times.conditioning for times in bare],
        "bare: denoising, ms": [1e3 * times.denoising for times in bare],
        "bare: decoding and encoding, ms": [1e3 * times.decoding for times in bare],
        "served, s": [times.total for times in served],
        "served: CreateVideo, ms": [1e3 * times.create for times in served],
        "served: queued, ms": [1e3 * times.queued for times in served],
    }
    for stage in sorted({stage for times in served for stage in times.stages}):
        name = video_pb2.Stage.Name(stage).removeprefix("STAGE_").lower()
        rows[f"served: {name}, ms"] = [1e3 * times.stages.get(stage, 0.0) for times in served]
    rows["served: everything else, ms"] = [
        1e3 * (times.total - times.queued - sum(times.stages.values())) for times in served
    ]
    return [
        figure(f"{model}: {name}", samples, conditions=conditions) for name, samples in rows.items()
    ]


def serve(client: Client, model: str, wanted: Wanted) -> Served:
    """Makes one video through the service."""
    start = time.perf_counter()
    created = client.create_video(
        wanted.prompt,
        model=f"models/{model}",
        seed=wanted.seed,
        num_inference_steps=wanted.num_inference_steps,
        guidance_scale=wanted.guidance_scale,
        duration_seconds=wanted.num_frames / wanted.fps,
        fps=wanted.fps,
        size=(wanted.size, wanted.size),
        audio_mode=video_pb2.AUDIO_MODE_NONE,
    )
    create = time.perf_counter() - start
    for _ in client.watch_video(created.name):
        pass
    total = time.perf_counter() - start
    video = client.get_video(created.name)
    if video.state != video_pb2.Video.STATE_SUCCEEDED:
        raise RuntimeError(f"{video.name} ended otherwise: {video.failure}")
    assert video.num_frames == wanted.num_frames
    queued = video.start_time.ToNanoseconds() - video.create_time.ToNanoseconds()
    stages = {timing.stage: timing.duration.ToNanoseconds() / 1e9 for timing in video.timings}
    return Served(total, create, queued / 1e9, stages)


def write_slow_model(folder: Path, options: argparse.Namespace) -> None:
    """Writes a model of the built-in architecture, with random weights and slow steps."""
    channels = CausalVAEConfig().latent_channels
    write_random_weights(
        folder,
        BUILT_IN,
        dit=DiTConfig(in_channels=channels, width=options.width, num_blocks=8),
        vae=CausalVAEConfig(latents_mean=(0.0,) * channels, latents_std=(1.0,) * channels),
    )
    card = json.loads((BUILT_IN / "model.json").read_text())
    card["limits"]["sizes"] = [{"width": options.size, "height": options.size}]
    card["defaults"]["size"] = {"width": options.size, "height": options.size}
    card["limits"]["audioModes"] = ["AUDIO_MODE_NONE"]
    (folder / "model.json").write_text(json.dumps(card))


if __name__ == "__main__":
    main()
