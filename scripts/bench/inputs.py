"""What the built-in model makes of pictures and videos: judged from the files, through the service.

PYTHONPATH=scripts python scripts/bench/inputs.py [--scenes 24] [--strength 0.7] [--threads 1]

Each scene is drawn exactly by the world that the model was trained on, and asked for three times:
as a video of its first frame, as its video in another colour, and as its first half to go on with.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from report import Figure, figure, write_report
from whole_service import whole_service

from telecine.client import Client, VideoOptions
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.media.transcoder import EncodingOptions, Mp4Writer
from telecine.v1 import video_pb2
from train.judge import judge
from train.world import COLOURS, Scene, caption, random_clip, random_scene, render

Frames = NDArray[np.uint8]
MODEL, FPS, SIDE, SEED = "toybox", 16, 128, 31_000
NUM_FRAMES, ADDED_FRAMES = 33, 32
# Of the source, the last frames that an extension's clip begins with, its own of them included.
NUM_START_FRAMES, NUM_OVERLAP_FRAMES = 24, 3
FIRST_FRAME_GOAL_DB = 25.0
SEAM_ABOVE_USUAL = "seam above the usual step between new frames"
KEPT_LAST = "the last kept frame, PSNR to the source's"
SEAM_GOALS_DB = {SEAM_ABOVE_USUAL: -1.0}


@dataclass(frozen=True)
class Drawn:
    """A scene, said and drawn: its video, and a slower one of which a half is left to make."""

    scene: Scene
    prompt: str
    other: Scene
    other_prompt: str
    video: Frames
    slow_video: Frames


def main() -> None:
    """Reads the command line, makes the videos, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--strength", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    scenes = [draw(index) for index in range(options.scenes)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = [BUILT_IN_WEIGHTS / MODEL]
        with whole_service(folder, weights, threads=options.threads) as client:
            maker = Maker(client, folder)
            rows = [
                *judge_first_frames(maker, scenes),
                *judge_edits(maker, scenes, options.strength),
                *judge_extensions(maker, scenes),
            ]
    write_report("inputs", rows)


def draw(index: int) -> Drawn:
    """Draws one scene, and another colour for it."""
    generator = torch.Generator().manual_seed(SEED + index)
    scene = random_scene(generator)
    others = [colour for colour in COLOURS if colour != scene.colour]
    other = replace(scene, colour=others[index % len(others)])
    return Drawn(
        scene,
        caption(scene, generator),
        other,
        caption(other, generator),
        _render(scene, NUM_FRAMES, generator),
        _render(scene, NUM_FRAMES + ADDED_FRAMES, generator),
    )


class Maker:
    """Makes videos by a service, out of what is drawn."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def upload(self, frames: Frames) -> str:
        """Uploads one frame as a picture, several as a video."""
        path = self._folder / ("upload.png" if len(frames) == 1 else "upload.mp4")
        if len(frames) == 1:
            Image.fromarray(frames[0]).save(path)
        else:
            writer = Mp4Writer(path, EncodingOptions(fps=FPS, crf=1))
            writer.write(frames)
            writer.finish()
        return self._client.upload_media(path).name

    def make(self, prompt: str, options: VideoOptions) -> Frames:
        """Makes a video and reads its file."""
        created = self._client.create_video(
            prompt, seed=SEED, fps=FPS, audio_mode=video_pb2.AUDIO_MODE_NONE, **options
        )
        video = self._client.wait_for_video(created.name)
        if video.state != video_pb2.Video.STATE_SUCCEEDED:
            raise RuntimeError(f"{video.name}: {video.failure}")
        path = self._folder / "made.mp4"
        self._client.download_video(video.name, path)
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def judge_first_frames(maker: Maker, scenes: Sequence[Drawn]) -> list[Figure]:
    """Videos of first frames: whether they begin with them, and move as they are told."""
    psnrs, shown = [], []
    for drawn in scenes:
        image = maker.upload(drawn.video[:1])
        made = maker.make(drawn.prompt, {"input_image": image})
        psnrs.append(psnr(made[0], drawn.video[0]))
        shown.append(judge(made))
    conditions = f"{len(scenes)} scenes, {NUM_FRAMES} frames of {SIDE}x{SIDE}, 20 steps a chunk"
    return [
        figure(
            "first frame: PSNR to the picture, dB",
            psnrs,
            goal=FIRST_FRAME_GOAL_DB,
            better="higher",
            conditions=conditions,
        ),
        *(
            _share(f"first frame: {name} as asked", hits, conditions)
            for name, hits in _hits(shown, [drawn.scene for drawn in scenes]).items()
        ),
    ]


def judge_edits(maker: Maker, scenes: Sequence[Drawn], strength: float) -> list[Figure]:
    """Videos with another colour: whether it is changed, and the rest is kept."""
    shown, overlaps = [], []
    for drawn in scenes:
        source = maker.upload(drawn.video)
        options: VideoOptions = {"edit_source": source, "edit_strength": strength}
        options["duration_seconds"] = NUM_FRAMES / FPS
        made = maker.make(drawn.other_prompt, options)
        shown.append(judge(made))
        overlaps.append(_overlap(made, drawn.video))
    hits = _hits(shown, [drawn.other for drawn in scenes])
    conditions = f"{len(scenes)} scenes, another colour asked for, strength {strength:g}"
    return [
        _share("edit: colour changed as asked", hits.pop("colour"), conditions),
        *(_share(f"edit: {name} kept", kept, conditions) for name, kept in hits.items()),
        figure(
            "edit: overlap of the shape with the source's, frame by frame",
            overlaps,
            better="higher",
            conditions=conditions,
        ),
    ]


def judge_extensions(maker: Maker, scenes: Sequence[Drawn]) -> list[Figure]:
    """First halves that are gone on with: the seam, and whether the motion goes on."""
    measured, shown = [], []
    options: VideoOptions = {
        "extend_seconds": ADDED_FRAMES / FPS,
        "duration_seconds": (NUM_FRAMES + ADDED_FRAMES) / FPS,
    }
    for drawn in scenes:
        source = maker.upload(drawn.slow_video[:NUM_FRAMES])
        made = maker.make(drawn.prompt, {**options, "extend_source": source})
        kept = {KEPT_LAST: psnr(made[NUM_FRAMES - 1], drawn.slow_video[NUM_FRAMES - 1])}
        measured.append(measure_seam(made) | kept)
        shown.append(judge(made))
    conditions = f"{len(scenes)} scenes, {NUM_FRAMES} frames and {ADDED_FRAMES} more"
    return [
        *(
            figure(
                f"extend: {name}, dB",
                [values[name] for values in measured],
                goal=SEAM_GOALS_DB.get(name),
                better="higher",
                conditions=conditions,
            )
            for name in measured[0]
        ),
        *(
            _share(f"extend: {name} of the whole video as asked", hits, conditions)
            for name, hits in _hits(shown, [drawn.scene for drawn in scenes]).items()
        ),
    ]


def measure_seam(made: Frames) -> dict[str, float]:
    """Returns how alike neighbouring frames are, at the seam and elsewhere."""
    steps = [psnr(one, other) for one, other in itertools.pairwise(made)]
    seam, end = steps[NUM_FRAMES - 1], NUM_FRAMES + NUM_START_FRAMES
    usual = float(np.median(steps[NUM_FRAMES:]))
    return {
        "PSNR across the seam": seam,
        "median PSNR between frames of the source": float(
            np.median(steps[: NUM_FRAMES - NUM_START_FRAMES])
        ),
        "median PSNR between new frames": usual,
        "lowest PSNR between frames around the seam": min(
            steps[NUM_FRAMES - NUM_START_FRAMES : end]
        ),
        "lowest PSNR between new frames far from it": min(steps[end:]),
        SEAM_ABOVE_USUAL: seam - usual,
        # A seam that was moved to where the clip's own frames begin would be seen here.
        "lowest step from the overlap to the seam above the usual one": (
            min(steps[NUM_FRAMES - 1 - NUM_OVERLAP_FRAMES : NUM_FRAMES]) - usual
        ),
    }


def psnr(one: Frames, other: Frames) -> float:
    """Returns how alike two pictures are, in dB."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return float(10 * np.log10(255.0**2 / max(error, 1e-3)))


def _render(scene: Scene, num_frames: int, generator: torch.Generator) -> Frames:
    video = render([random_clip(scene, num_frames, generator)], SIDE)[0]
    pixels: Frames = ((video.permute(1, 2, 3, 0) + 1.0) * 127.5).round().byte().numpy()
    return pixels


def _overlap(one: Frames, other: Frames) -> float:
    """Intersection over union of what is not background, all frames together."""
    masks = [_is_shape(frames) for frames in (one, other)]
    return float((masks[0] & masks[1]).sum() / max(1, (masks[0] | masks[1]).sum()))


def _is_shape(frames: Frames) -> NDArray[np.bool_]:
    backdrop = np.median(frames[:, 0].reshape(-1, 3), axis=0)
    return np.linalg.norm(frames - backdrop, axis=-1) > 60


def _hits(shown: Sequence[Scene], asked: Sequence[Scene]) -> dict[str, list[bool]]:
    pairs = list(zip(shown, asked, strict=True))
    names = ("colour", "shape", "motion", "background")
    return {name: [getattr(s, name) == getattr(a, name) for s, a in pairs] for name in names}


def _share(metric: str, hits: Sequence[bool], conditions: str) -> Figure:
    """A share of the scenes, one standard error up and down."""
    share = float(np.mean(hits))
    error = float(np.sqrt(share * (1 - share) / len(hits)))
    return Figure(metric, share, None, "higher", (share - error, share + error), conditions)


if __name__ == "__main__":
    main()
