"""The adapter that comes with the built-in model."""

import torch

from telecine.engine.adapters.lora_shelf import LoraShelf
from telecine.engine.adapters.use import LoraUse
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family


def test_fast_adapter_acts_on_every_block_of_the_picture() -> None:
    weights, device = BUILT_IN_WEIGHTS / "toybox", torch.device("cpu")
    networks = load_family(str(weights)).load_denoiser(device).networks
    ((lora, scale),) = LoraShelf(weights, networks, device=device).take([LoraUse("fast", 1.0)])
    assert scale == 1.0
    additions = lora.additions["transformer"]
    blocks = {name.split(".")[1] for name in additions}
    assert blocks == {str(index) for index in range(6)}
    assert all(addition.up.any() for addition in additions.values())
