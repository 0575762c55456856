"""Each family's network has the linear layers that adapters of its model are trained on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_ltx2
import tiny_mochi
import tiny_wan
import torch
from diffusers import LTX2VideoTransformer3DModel, MochiTransformer3DModel, WanTransformer3DModel
from torch import nn

from telecine.engine.adapters.lora_names import names_by_alias, place_of
from telecine.engine.families import load_family

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

FOLDERS: dict[str, tuple[Callable[[Path], None], type]] = {
    "wan": (tiny_wan.write_wan, WanTransformer3DModel),
    "mochi": (tiny_mochi.write_tiny_mochi, MochiTransformer3DModel),
    "ltx2": (tiny_ltx2.write_tiny_ltx2, LTX2VideoTransformer3DModel),
}


def linears_of(network: nn.Module) -> dict[str, tuple[int, int]]:
    return {
        name: (each.in_features, each.out_features)
        for name, each in network.named_modules()
        if isinstance(each, nn.Linear)
    }


@pytest.mark.parametrize("family", FOLDERS)
def test_every_linear_layer_of_the_library_s_network_is_one_of_ours(
    family: str, tmp_path: Path
) -> None:
    write, theirs = FOLDERS[family]
    write(tmp_path)
    with torch.device("meta"):
        ours = load_family(str(tmp_path)).networks["transformer"]()
        reference = theirs.from_config(theirs.load_config(tmp_path / "transformer"))
    assert linears_of(ours) == linears_of(reference)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("transformer.a.b.lora_A.weight", ("transformer", "a.b", "down")),
        ("transformer_2.a.b.lora_B.default.weight", ("transformer_2", "a.b", "up")),
        ("diffusion_model.a.b.lora_down.weight", ("", "a.b", "down")),
        ("base_model.model.a.lora_B.bias", ("", "a", "bias")),
        ("lora_unet_a_b.alpha", ("", "a_b", "alpha")),
        ("a.lora.up.weight", ("", "a", "up")),
        ("a.diff", ("", "a", "difference")),
    ],
)
def test_names_are_taken_apart(name: str, place: tuple[str, str, str]) -> None:
    assert place_of(name) == place


def test_a_tensor_of_no_lora_has_no_place() -> None:
    assert place_of("a.weight") is None


def test_authors_names_lead_to_the_network_s_own() -> None:
    own = ["blocks.3.attn1.to_out.0", "blocks.3.ffn.net.0.proj", "time_embed.linear", "proj_out"]
    aliases = names_by_alias(own)
    assert aliases["blocks.3.self_attn.o"] == own[0]
    assert aliases["blocks_3_ffn_0"] == own[1]
    assert aliases["adaln_single.linear"] == own[2]
    assert all(aliases[name] == name for name in own)
