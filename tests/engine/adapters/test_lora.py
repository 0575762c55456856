"""An adapter does to our networks what diffusers' own loading does to its pipelines."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import tiny_mochi
import tiny_wan
import torch
from diffusers import MochiPipeline
from safetensors.torch import save_file
from torch import Tensor, nn

from telecine.engine.adapters.lora import applied
from telecine.engine.adapters.lora_shelf import LoraShelf
from telecine.engine.adapters.use import LoraUse
from telecine.engine.denoise import Denoiser, denoise_slice, initial_state
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.families.protocol import Family
from telecine.engine.families.sampling import SamplingRequest, VideoSize, sampling_config
from telecine.engine.offload import LoadOptions, WeightsMode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

CPU = torch.device("cpu")
PROMPT, NEGATIVE_PROMPT = "a red circle moving left", "blurry"
SCALE, RANK, TOLERANCE = 0.7, 4, 1e-5
Tensors = dict[str, Tensor]
SIZES = {
    "wan": VideoSize(num_frames=5, height=32, width=48, fps=16),
    "mochi": VideoSize(num_frames=7, height=32, width=48, fps=30),
}
TARGETS = {
    "wan": (
        "condition_embedder.time_proj",
        "condition_embedder.text_embedder.linear_1",
        *(f"blocks.{i}.attn{j}.to_{k}" for i in (0, 1) for j in (1, 2) for k in ("q", "k", "v")),
        "blocks.0.attn1.to_out.0",
        "blocks.1.ffn.net.0.proj",
        "blocks.1.ffn.net.2",
        "proj_out",
    ),
    "mochi": (
        "transformer_blocks.0.attn1.to_q",
        "transformer_blocks.1.attn1.add_k_proj",
        "transformer_blocks.1.attn1.to_out.0",
        "transformer_blocks.2.ff.net.0.proj",
        "transformer_blocks.0.ff_context.net.2",
        "transformer_blocks.1.norm1.linear",
        "proj_out",
    ),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("wan", "mochi")}
    tiny_wan.write_wan(folders["wan"], "2.1")
    tiny_mochi.write_tiny_mochi(folders["mochi"])
    for folder in folders.values():
        (folder / "loras").mkdir()
    return folders


@pytest.fixture(scope="module")
def pipelines(weights: dict[str, Path]) -> dict[str, Any]:
    mochi = MochiPipeline.from_pretrained(weights["mochi"], local_files_only=True)
    mochi.set_progress_bar_config(disable=True)
    return {"wan": tiny_wan.load_pipeline(weights["wan"], "euler"), "mochi": mochi}


def additions(transformer: nn.Module, targets: Iterable[str]) -> Tensors:
    """Tensors of an adapter of these layers, as PEFT calls them."""
    generator = torch.Generator().manual_seed(0)
    tensors: Tensors = {}
    for name in targets:
        layer = transformer.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        down = torch.randn(RANK, layer.in_features, generator=generator)
        up = torch.randn(layer.out_features, RANK, generator=generator)
        tensors |= {f"{name}.lora_A.weight": down * 0.3, f"{name}.lora_B.weight": up * 0.3}
    return tensors


def pipeline_latents(pipeline: Any, family: str) -> Tensor:
    size = SIZES[family]
    latents: Tensor = pipeline(
        PROMPT,
        negative_prompt=NEGATIVE_PROMPT,
        num_frames=size.num_frames,
        height=size.height,
        width=size.width,
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=torch.Generator("cpu").manual_seed(3),
        output_type="latent",
    ).frames
    return latents


@torch.inference_mode()
def our_latents(
    folder: Path, family_name: str, uses: tuple[LoraUse, ...], weights_mode: WeightsMode = "full"
) -> Tensor:
    family: Family = load_family(str(folder))
    encode = PromptEncoder(family).encode
    request = SamplingRequest(
        seed=3, num_inference_steps=3, guidance_scale=4.0, sampler="euler", attention="full"
    )
    config = sampling_config(family, SIZES[family_name], request._replace(loras=uses))
    denoiser: Denoiser = family.load_denoiser(CPU, LoadOptions(weights_mode))
    shelf = LoraShelf(folder, denoiser.networks, device=CPU)
    with applied(denoiser.networks, shelf.take(config.loras)):
        *_, last = denoise_slice(
            denoiser,
            encode(PROMPT),
            encode(NEGATIVE_PROMPT),
            config=config,
            state=initial_state(config, CPU),
            num_steps=3,
        )
    return last.state.latents


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def as_diffusers(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    return {f"transformer.{name}": value for name, value in tensors.items()}, {}


def as_diffusers_with_strength(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    modules = {name.rpartition(".lora_")[0] for name in tensors}
    described = {"r": RANK, "lora_alpha": 2 * RANK, "target_modules": sorted(modules)}
    described = {f"transformer.{name}": value for name, value in described.items()}
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(described, sort_keys=True)}
    return as_diffusers(tensors)[0], metadata


def as_wan_authors(tensors: Tensors) -> tuple[Tensors, dict[str, str]]:
    renames = {
        ".attn1.to_out.0.": ".self_attn.o.", ".attn2.to_out.0.": ".cross_attn.o.",
        ".attn1.to_": ".self_attn.", ".attn2.to_": ".cross_attn.",
        ".ffn.net.0.proj.": ".ffn.0.", ".ffn.net.2.": ".ffn.2.",
        "condition_embedder.time_proj.": "time_projection.1.",
        ".lora_A.": ".lora_down.", ".lora_B.": ".lora_up.",
    }  # fmt: skip
    renamed: Tensors = {}
    for own_name, value in tensors.items():
        name = own_name
        for ours, theirs in renames.items():
            name = name.replace(ours, theirs)
        if name.startswith(("blocks", "time_projection")):
            renamed[f"diffusion_model.{name}"] = value
            if name.startswith("blocks") and ".lora_down." in name:
                module = name.partition(".lora_")[0]
                renamed[f"diffusion_model.{module}.alpha"] = torch.tensor(2.0)
    return renamed, {}


FORMATS: dict[str, Callable[[Tensors], tuple[Tensors, dict[str, str]]]] = {
    "diffusers": as_diffusers,
    "strength": as_diffusers_with_strength,
    "authors": as_wan_authors,
}


@pytest.mark.parametrize(
    ("family", "format_name"),
    [("wan", "diffusers"), ("wan", "strength"), ("wan", "authors"), ("mochi", "diffusers")],
)
def test_latents_equal_those_of_the_library_s_own_loading(
    weights: dict[str, Path], pipelines: dict[str, Any], family: str, format_name: str
) -> None:
    pipeline, folder = pipelines[family], weights[family]
    tensors = additions(pipeline.transformer, TARGETS[family])
    renamed, metadata = FORMATS[format_name](tensors)
    path = folder / "loras" / f"{format_name}.safetensors"
    save_file(renamed, path, metadata)
    plain = pipeline_latents(pipeline, family)
    pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name="it")
    pipeline.set_adapters(["it"], [SCALE])
    expected = pipeline_latents(pipeline, family)
    pipeline.unload_lora_weights()
    found = our_latents(folder, family, (LoraUse(format_name, SCALE),))
    assert relative_error(plain, expected) > 0.01
    assert relative_error(found, expected) < TOLERANCE


def test_each_of_two_experts_has_a_file_of_its_own(tmp_path: Path) -> None:
    tiny_wan.write_wan(tmp_path, "2.2")
    pipeline = tiny_wan.load_pipeline(tmp_path, "euler")
    folder = tmp_path / "loras" / "pair"
    folder.mkdir(parents=True)
    plain = pipeline_latents(pipeline, "wan")
    seen = []
    for part, targets in (("transformer", TARGETS["wan"]), ("transformer_2", TARGETS["wan"][2:])):
        tensors = additions(getattr(pipeline, part), targets)
        save_file(as_diffusers(tensors)[0], folder / f"{part}.safetensors")
        is_second = part == "transformer_2"
        pipeline.load_lora_weights(
            folder, weight_name=f"{part}.safetensors", load_into_transformer_2=is_second
        )
        seen.append(pipeline_latents(pipeline, "wan"))
    found = our_latents(tmp_path, "wan", (LoraUse("pair", 1.0),))
    assert relative_error(plain, seen[0]) > 0.01
    assert relative_error(seen[0], seen[1]) > 0.01
    assert relative_error(found, seen[1]) < TOLERANCE


@pytest.mark.parametrize("weights_mode", ["disk", "int8"])
def test_adapters_act_on_weights_that_do_not_fit(
    weights: dict[str, Path], pipelines: dict[str, Any], weights_mode: WeightsMode
) -> None:
    tensors = additions(pipelines["wan"].transformer, TARGETS["wan"])
    save_file(as_diffusers(tensors)[0], weights["wan"] / "loras" / "held.safetensors")
    uses = (LoraUse("held", SCALE),)
    full = our_latents(weights["wan"], "wan", uses)
    held = our_latents(weights["wan"], "wan", uses, weights_mode)
    assert relative_error(held, full) <= (0.0 if weights_mode == "disk" else 0.05)


def test_two_adapters_add_up(weights: dict[str, Path], pipelines: dict[str, Any]) -> None:
    pipeline, folder = pipelines["wan"], weights["wan"]
    adapters = {
        "a": additions(pipeline.transformer, TARGETS["wan"][:4]),
        "b": additions(pipeline.transformer, TARGETS["wan"][2:]),
    }
    for name, tensors in adapters.items():
        save_file(as_diffusers(tensors)[0], folder / "loras" / f"{name}.safetensors")
        pipeline.load_lora_weights(
            folder / "loras", weight_name=f"{name}.safetensors", adapter_name=name
        )
    pipeline.set_adapters(["a", "b"], [0.5, -0.25])
    expected = pipeline_latents(pipeline, "wan")
    pipeline.unload_lora_weights()
    found = our_latents(folder, "wan", (LoraUse("a", 0.5), LoraUse("b", -0.25)))
    assert relative_error(found, expected) < TOLERANCE


def test_nothing_is_left_of_an_adapter_after_its_slice(
    weights: dict[str, Path], pipelines: dict[str, Any]
) -> None:
    plain = pipeline_latents(pipelines["wan"], "wan")
    assert relative_error(our_latents(weights["wan"], "wan", ()), plain) < TOLERANCE
