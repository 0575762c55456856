"""Trains the built-in model in stages: `vae`, `audio-vae`, `audio-decoder`, `latents`, `dit`.

Each goes on from where an earlier run of it stopped.
"""

import argparse
from pathlib import Path

from train import audio_vae, dit, latents, vae

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "server" / "telecine" / "weights" / "toybox"


def main() -> None:
    """Read the command line and run one stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("vae", "audio-vae", "audio-decoder", "latents", "dit"))
    parser.add_argument("--steps", type=int, default=4000, help="training steps in all")
    parser.add_argument("--shards", type=int, default=16, help="shards of 512 clips")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--state", type=Path, default=ROOT / "var" / "train")
    options = parser.parse_args()
    shards = options.state / "latents"
    if options.stage == "vae":
        vae.train(options.weights, options.state / "vae.pt", num_steps=options.steps)
    elif options.stage == "audio-vae":
        state = options.state / "audio_vae.pt"
        audio_vae.train(options.weights, state, num_steps=options.steps)
    elif options.stage == "audio-decoder":
        state = options.state / "audio_decoder.pt"
        audio_vae.train_decoder(options.weights, state, num_steps=options.steps)
    elif options.stage == "latents":
        latents.write_shards(options.weights, shards, options.shards)
    else:
        dit.train(options.weights, shards, options.state / "dit.pt", num_steps=options.steps)


if __name__ == "__main__":
    main()
