"""What a denoiser keeps of its last slice serves no slice with other adapters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from small_denoisers import CASES, Case, denoise, make_denoiser
from torch import nn

from telecine.engine.adapters.lora import Addition, Lora, applied
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import Denoiser

FAMILIES = ("euler", "wan", "mochi", "ltx2")


def lora_of(denoiser: Denoiser) -> Lora:
    """An adapter of every linear layer."""
    generator = torch.Generator().manual_seed(0)
    additions: dict[str, dict[str, Addition]] = {}
    for part, network in denoiser.networks.items():
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Linear):
                down = torch.randn(2, layer.in_features, generator=generator) * 0.1
                up = torch.randn(layer.out_features, 2, generator=generator) * 0.1
                additions.setdefault(part, {})[name] = Addition(down, up, None)
    return Lora(additions)


@contextmanager
def adapted(denoiser: Denoiser, case: Case, scale: float) -> Iterator[Case]:
    """The same video, made with an adapter for as long as the block lasts."""
    with applied(denoiser.networks, [(lora_of(denoiser), scale)]):
        yield replace(case, config=replace(case.config, loras=(LoraUse("it", scale),)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_slice_without_an_adapter_keeps_nothing_of_the_one_before(name: str) -> None:
    case = CASES[name]
    denoiser = make_denoiser(case.family)
    plain = denoise(make_denoiser(case.family), case)
    with adapted(denoiser, case, 1.0) as strong:
        changed = denoise(denoiser, strong)
    assert not torch.equal(changed.latents, plain.latents)
    assert torch.equal(denoise(denoiser, case).latents, plain.latents)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_slice_with_an_adapter_keeps_nothing_of_another_scale(name: str) -> None:
    case = CASES[name]
    denoiser, fresh = make_denoiser(case.family), make_denoiser(case.family)
    with adapted(fresh, case, 0.5) as weak:
        expected = denoise(fresh, weak)
    with adapted(denoiser, case, 1.0) as strong:
        denoise(denoiser, strong)
    with adapted(denoiser, case, 0.5) as weak:
        assert torch.equal(denoise(denoiser, weak).latents, expected.latents)
