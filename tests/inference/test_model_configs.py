"""Configs of the variants that no server here can run."""

from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from telecine.inference.model_configs import (
    EncoderDescription,
    ModelDescription,
    Target,
    TensorDescription,
    write_configs,
)

DESCRIPTION = ModelDescription(
    model="other",
    weights="/weights/other",
    encoders=(
        EncoderDescription(
            "t5_encoder", ("input_ids", "attention_mask"), ("t5_hidden_states",), "onnx"
        ),
        EncoderDescription(
            "clip_encoder", ("input_ids", "attention_mask"), ("clip_pooled",), "onnx"
        ),
        EncoderDescription(
            "text_projection", ("t5_hidden_states", "clip_pooled"), ("prompt_embeds",), "torch"
        ),
    ),
    tensors={
        "input_ids": TensorDescription("INT64", (77,)),
        "attention_mask": TensorDescription("INT64", (77,)),
        "num_tokens": TensorDescription("INT64", (1,)),
        "max_tokens": TensorDescription("INT64", (1,)),
        "is_truncated": TensorDescription("BOOL", (1,)),
        "t5_hidden_states": TensorDescription("FP32", (77, 4096)),
        "clip_pooled": TensorDescription("FP32", (768,)),
        "prompt_embeds": TensorDescription("FP32", (77, 2048)),
    },
    conditioning=("prompt_embeds", "attention_mask"),
)


def parse(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_layout_is_told_to_the_sampler_alone() -> None:
    sizes = {"tensor_parallel_size": 4, "sequence_parallel_size": 1}
    plain = write_configs(DESCRIPTION)
    shared = write_configs(replace(DESCRIPTION, parallel_sizes=sizes))
    assert {role for role in plain if plain[role] != shared[role]} == {"dit_sampler"}
    parameters = parse(shared["dit_sampler"]).parameters
    assert parameters["tensor_parallel_size"].string_value == "4"
    assert "sequence_parallel_size" not in parameters


def test_tensorrt_target_changes_the_encoders_alone() -> None:
    onnx, tensorrt = write_configs(DESCRIPTION), write_configs(DESCRIPTION, "tensorrt")
    changed = {role for role in onnx if onnx[role] != tensorrt[role]}
    assert changed == {"t5_encoder", "clip_encoder"}
    for role in changed:
        before, after = parse(onnx[role]), parse(tensorrt[role])
        assert after.platform == "tensorrt_plan"
        assert list(after.input) == list(before.input)
        assert list(after.output) == list(before.output)


@pytest.mark.parametrize(
    ("target", "runtimes"), [("cpu", ("onnx", "onnx", "torch")), ("cuda", ("torch",) * 3)]
)
def test_encoders_are_told_what_runs_them(target: Target, runtimes: tuple[str, ...]) -> None:
    configs = write_configs(DESCRIPTION, target)
    roles = [parse(configs[each.name]) for each in DESCRIPTION.encoders]
    assert tuple(role.parameters["runtime"].string_value for role in roles) == runtimes


def test_pictures_have_roles_and_inputs_only_where_a_model_takes_them() -> None:
    without = write_configs(DESCRIPTION)
    configs = write_configs(replace(DESCRIPTION, image_conditioning={"image_embeds": 2}))
    roles = {"image_preprocess", "image_encoder", "image_conditioner"}
    assert set(configs) - set(without) == roles
    added = {each.name for each in parse(configs["dit_sampler"]).input}
    added -= {each.name for each in parse(without["dit_sampler"]).input}
    assert added == {
        "image_embeds",
        "given_latents",
        "source_latents",
        "given_latent_frames",
        "strength",
    }
    outputs = {each.name: len(each.dims) for each in parse(configs["image_conditioner"]).output}
    assert outputs == {"latents": 4, "image_embeds": 2}


@pytest.mark.parametrize(
    ("audio_modes", "roles"),
    [
        (("JOINT",), {"audio_decoder"}),
        (("POST_SYNC",), {"audio_decoder", "audio_dit"}),
        (("JOINT", "POST_SYNC"), {"audio_decoder", "audio_dit"}),
    ],
)
def test_sound_has_roles_and_an_input_only_where_a_model_makes_it(
    audio_modes: tuple[str, ...], roles: set[str]
) -> None:
    without = write_configs(DESCRIPTION)
    configs = write_configs(replace(DESCRIPTION, audio_modes=audio_modes))
    assert set(configs) - set(without) == roles
    assert {role for role in without if configs[role] != without[role]} == {"dit_sampler"}
    inputs = {each.name: each for each in parse(configs["dit_sampler"]).input}
    before = {each.name for each in parse(without["dit_sampler"]).input}
    assert set(inputs) - before == {"audio_mode"}
    assert inputs["audio_mode"].optional


def test_given_sound_has_a_role_and_an_input_only_where_a_picture_is_made_to_it() -> None:
    without = write_configs(replace(DESCRIPTION, audio_modes=("JOINT",)))
    described = replace(DESCRIPTION, audio_modes=("JOINT",), given_audio_dims=2)
    configs = write_configs(described)
    assert set(configs) - set(without) == {"audio_encoder"}
    assert {role for role in without if configs[role] != without[role]} == {"dit_sampler"}
    inputs = {each.name: each for each in parse(configs["dit_sampler"]).input}
    before = {each.name for each in parse(without["dit_sampler"]).input}
    assert set(inputs) - before == {"given_audio_latents"}
    assert inputs["given_audio_latents"].optional
    encoder = parse(configs["audio_encoder"])
    assert {each.name for each in encoder.input} == {"waveform", "num_frames", "fps"}
    assert [(each.name, list(each.dims)) for each in encoder.output] == [
        ("audio_latents", [-1, -1])
    ]


def test_sound_of_a_finished_picture_is_made_of_its_state_and_its_prompts() -> None:
    config = parse(write_configs(replace(DESCRIPTION, audio_modes=("POST_SYNC",)))["audio_dit"])
    conditioning = {"prompt_embeds", "attention_mask"}
    assert {each.name for each in config.input} == {
        *conditioning,
        *(f"negative_{name}" for name in conditioning),
        *("seed", "num_inference_steps", "guidance_scale", "sampler", "attention"),
        *("num_frames", "height", "width", "fps", "state"),
    }
    assert [each.name for each in config.output] == ["state"]


def test_ensemble_lets_both_encoders_start_from_the_tokens() -> None:
    ensemble = parse(write_configs(DESCRIPTION)["prompt_encoder"])
    steps = {step.model_name: step for step in ensemble.ensemble_scheduling.step}
    tokens = set(steps["other__tokenizer"].output_map.values())
    for encoder in ("other__t5_encoder", "other__clip_encoder"):
        assert set(steps[encoder].input_map.values()) <= tokens
