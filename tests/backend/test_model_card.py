"""Clients are told of a model what its family says."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from google.protobuf import json_format
from torch import nn

from telecine.backend.model_card import loaded_bytes, model_card
from telecine.engine.families import BUILT_IN_WEIGHTS, load_family
from telecine.engine.families.protocol import pass_bytes_per_megapixel
from telecine.engine.families.weights_check import CheckedWeights, check_weights
from telecine.engine.parallel.layout import ONE_RANK, ParallelConfig
from telecine.v1 import model_pb2, video_pb2

TOYBOX = BUILT_IN_WEIGHTS / "toybox"


def shipped_card(folder: Path) -> model_pb2.Model:
    return json_format.Parse((folder / "model.json").read_text(), model_pb2.Model())


def test_the_built_in_model_s_card_has_its_family_s_limits_and_defaults() -> None:
    card = shipped_card(TOYBOX)
    family = model_card(load_family(str(TOYBOX)).card, version="1", memory_bytes=0)
    for name in ("sampler", "num_inference_steps", "guidance_scale", "fps"):
        assert getattr(card.defaults, name) == getattr(family.defaults, name), name
    shipped, told = card.limits, family.limits
    for name in (
        "sizes",
        "samplers",
        "max_num_frames",
        "frames_multiple",
        "max_duration",
        "chunk_latent_frames",
        "attention_strategies",
        "audio_modes",
        "memory_bytes_per_megapixel",
        "window_memory_bytes_per_megapixel",
    ):
        assert getattr(shipped, name) == getattr(told, name), name
    assert list(told.attention_strategies) == ["full", "causal", "window"]


def test_modes_of_sound_are_told_with_none_first_and_their_default_is_the_tier_s() -> None:
    silent = load_family(str(TOYBOX)).card
    for modes, default in (
        ((), video_pb2.AUDIO_MODE_NONE),
        (("JOINT", "POST_SYNC"), video_pb2.AUDIO_MODE_UNSPECIFIED),
    ):
        told = model_card(replace(silent, audio_modes=modes), version="1", memory_bytes=0)
        names = [video_pb2.AudioMode.Name(mode) for mode in told.limits.audio_modes]
        assert names == [f"AUDIO_MODE_{mode}" for mode in ("NONE", *modes)]
        assert told.defaults.audio_mode == default


@pytest.fixture(scope="module")
def checked() -> CheckedWeights:
    return check_weights(TOYBOX)


def denoiser_bytes(checked: CheckedWeights) -> tuple[int, int]:
    """What the loaded denoiser takes in float32, and its blocks alone."""
    (network,) = checked.family.load_denoiser(torch.device("cpu")).networks.values()
    blocks = [each for each in network.children() if isinstance(each, nn.ModuleList)]
    return tuple(
        sum(weight.nbytes for module in modules for weight in module.parameters())
        for modules in ([network], blocks)
    )


def test_on_gpus_a_model_takes_what_its_first_rank_holds(checked: CheckedWeights) -> None:
    def taken(parallel: ParallelConfig) -> int:
        return loaded_bytes(checked, target="cuda", weights_mode="full", parallel=parallel)

    _, block_bytes = denoiser_bytes(checked)
    whole = taken(ONE_RANK)
    # Every other rank's half of the blocks is not here.
    assert whole - taken(ParallelConfig(tensor_parallel_size=2)) == block_bytes // 2
    for replicated in (
        ParallelConfig(sequence_parallel_size=2),
        ParallelConfig(guidance_parallel_size=2),
    ):
        assert taken(replicated) == whole


def test_each_process_that_holds_a_part_counts_and_in_its_own_precision(
    checked: CheckedWeights,
) -> None:
    family = checked.family
    device = torch.device("cpu")
    vae, sound = family.load_vae(device), family.load_audio_decoder(device)
    assert isinstance(vae, nn.Module)
    assert isinstance(sound, nn.Module)
    network_bytes, _ = denoiser_bytes(checked)
    encoders = [family.load_encoder(role.name) for role in family.encoder_roles]
    expected = 3 * bytes_of(vae) + 2 * bytes_of(sound) + 2 * network_bytes
    expected += sum(map(bytes_of, encoders))
    # All of toybox is in float32, wherever it runs.
    for target in ("cpu", "cuda"):
        assert loaded_bytes(checked, target=target, weights_mode="full") == expected


def bytes_of(network: nn.Module) -> int:
    return sum(weight.nbytes for weight in network.parameters())


def test_what_a_pass_holds_follows_from_the_width() -> None:
    told = pass_bytes_per_megapixel(width=5120, pixels_per_token=1024)
    assert told == 10 * 2 * 2 * 5120 * 1_000_000 // 1024
    assert pass_bytes_per_megapixel(width=64, pixels_per_token=1024) == 60_000_000


def test_on_a_cpu_all_ranks_of_a_model_share_one_memory(checked: CheckedWeights) -> None:
    def taken(parallel: ParallelConfig) -> int:
        return loaded_bytes(checked, target="cpu", weights_mode="full", parallel=parallel)

    network_bytes, block_bytes = denoiser_bytes(checked)
    whole = taken(ONE_RANK)
    assert taken(ParallelConfig(sequence_parallel_size=3)) - whole == 2 * network_bytes
    split = ParallelConfig(tensor_parallel_size=2)
    assert taken(split) - whole == network_bytes - block_bytes  # what is not split, once more
