"""Trains the built-in model stage by stage, each going on from where an earlier run stopped.

The picture: `vae`, `latents`, `dit`; later `vae-decoder`, and `tokenizer` when captions have
new words. The sound: `audio-vae`, `audio-latents` of the clips that `latents` has drawn,
`audio-dit`, `hearing`, and then `audio-decoder`. For few steps: `walks`, `fast`.
A GPU is used where there is one. On several cores or GPUs torchrun starts a process on each,
and a step has the batches of all.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from train import (
    audio_dit,
    audio_latents,
    audio_vae,
    dit,
    few_steps,
    hearing,
    latents,
    ranks,
    text,
    vae,
)

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "server" / "telecine" / "weights" / "toybox"


def main() -> None:
    """Read the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=sorted(_STAGES))
    parser.add_argument("--steps", type=int, default=4000, help="training steps in all")
    parser.add_argument("--shards", type=int, default=16, help="shards of latents or of walks")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--state", type=Path, default=ROOT / "var" / "train")
    parser.add_argument("--sigma-lean", type=float, default=dit.SIGMA_LEAN, help="of `dit`")
    parser.add_argument("--batch", type=int, default=32, help="clips of a step, of `dit`")
    parser.add_argument("--width", type=int, default=192, help="of a new network of `dit`")
    parser.add_argument("--blocks", type=int, default=6, help="of a new network of `dit`")
    parser.add_argument("--seed", type=int, default=0, help="of `dit`")
    options = parser.parse_args()
    with ranks.joined():
        _STAGES[options.stage](options)


def _write_audio_latents(options: argparse.Namespace) -> None:
    audio_latents.write_audio_shards(
        options.weights, options.state / "latents", options.state / "audio"
    )


def _train_audio_dit(options: argparse.Namespace) -> None:
    audio_dit.train(
        options.weights,
        options.state / "latents",
        options.state / "audio",
        options.state / "audio_dit.pt",
        num_steps=options.steps,
    )


def _train_hearing(options: argparse.Namespace) -> None:
    hearing.train(
        options.weights,
        options.state / "latents",
        options.state / "audio",
        options.state / "hearing.pt",
        num_steps=options.steps,
    )


_STAGES: dict[str, Callable[[argparse.Namespace], None]] = {
    "vae": lambda o: vae.train(o.weights, o.state / "vae.pt", num_steps=o.steps),
    "vae-decoder": lambda o: vae.train_decoder(
        o.weights, o.state / "vae_decoder.pt", num_steps=o.steps
    ),
    "latents": lambda o: latents.write_shards(o.weights, o.state / "latents", o.shards),
    "dit": lambda o: dit.train(
        o.weights,
        o.state / "latents",
        o.state / "dit.pt",
        dit.Course(o.steps, o.batch, o.width, o.blocks, o.sigma_lean, o.seed),
    ),
    "walks": lambda o: few_steps.write_walks(o.weights, o.state / "walks", o.shards),
    "fast": lambda o: few_steps.train(
        o.weights, o.state / "walks", o.state / "fast.pt", num_steps=o.steps
    ),
    "tokenizer": lambda o: text.renew_tokenizer(o.weights),
    "audio-vae": lambda o: audio_vae.train(o.weights, o.state / "audio_vae.pt", num_steps=o.steps),
    "audio-latents": _write_audio_latents,
    "audio-dit": _train_audio_dit,
    "hearing": _train_hearing,
    "audio-decoder": lambda o: audio_vae.train_decoder(
        o.weights, o.state / "audio_decoder.pt", num_steps=o.steps
    ),
}


if __name__ == "__main__":
    main()
