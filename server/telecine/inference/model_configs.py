"""The config.pbtxt of every role of a model, written whole.

Conditioning roles take batches, so their shapes here leave out the batch; the sampler
and the decoder take one video a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

Target = Literal["onnx", "tensorrt"]
"""What runs the text encoders: ONNX Runtime in the Python backend, or TensorRT plans."""

MAX_BATCH_SIZE = 8
_HEADER = "# Written by scripts/build_model_repository.py.\n"
_ANY = -1


@dataclass(frozen=True)
class ModelDescription:
    """What the configs of one model depend on.

    Attributes:
        model: the first part of the roles' names.
        weights: the built-in family's name, or a folder.
        max_prompt_tokens: L.
        prompt_width: D of prompt_embeds.
        pooled_width: P of pooled_prompt_embeds.
        encoder_threads: threads of each ONNX session.
    """

    model: str
    weights: str
    max_prompt_tokens: int
    prompt_width: int
    pooled_width: int
    encoder_threads: int = 1


def write_configs(description: ModelDescription, target: Target = "onnx") -> dict[str, str]:
    """Return the text of config.pbtxt by role."""
    return {
        role: _HEADER + text_format.MessageToString(build(description, target))
        for role, build in _ROLES.items()
    }


def _tokenizer(description: ModelDescription, _: Target) -> Any:
    config = _python_model(description, "tokenizer", max_batch_size=MAX_BATCH_SIZE)
    length = description.max_prompt_tokens
    config.input.add(name="prompt", data_type=pb.TYPE_STRING, dims=[1])
    config.output.add(name="input_ids", data_type=pb.TYPE_INT64, dims=[length])
    config.output.add(name="attention_mask", data_type=pb.TYPE_INT64, dims=[length])
    config.output.add(name="num_tokens", data_type=pb.TYPE_INT64, dims=[1])
    config.output.add(name="is_truncated", data_type=pb.TYPE_BOOL, dims=[1])
    return config


def _t5_encoder(description: ModelDescription, target: Target) -> Any:
    config = _encoder(description, "t5_encoder", target)
    dims = [description.max_prompt_tokens, _ANY]
    config.output.add(name="t5_hidden_states", data_type=pb.TYPE_FP32, dims=dims)
    return config


def _clip_encoder(description: ModelDescription, target: Target) -> Any:
    config = _encoder(description, "clip_encoder", target)
    config.output.add(name="clip_pooled", data_type=pb.TYPE_FP32, dims=[_ANY])
    return config


def _encoder(description: ModelDescription, role: str, target: Target) -> Any:
    if target == "tensorrt":
        config = pb.ModelConfig(
            name=f"{description.model}__{role}",
            platform="tensorrt_plan",
            max_batch_size=MAX_BATCH_SIZE,
        )
        config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    else:
        config = _python_model(description, role, max_batch_size=MAX_BATCH_SIZE)
        config.parameters["num_threads"].string_value = str(description.encoder_threads)
    for name in ("input_ids", "attention_mask"):
        dims = [description.max_prompt_tokens]
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=dims)
    return config


def _text_projection(description: ModelDescription, _: Target) -> Any:
    config = _python_model(description, "text_projection", max_batch_size=MAX_BATCH_SIZE)
    dims = [description.max_prompt_tokens, _ANY]
    config.input.add(name="t5_hidden_states", data_type=pb.TYPE_FP32, dims=dims)
    config.input.add(name="clip_pooled", data_type=pb.TYPE_FP32, dims=[_ANY])
    _add_embeds(config.output, description)
    return config


def _prompt_encoder(description: ModelDescription, _: Target) -> Any:
    config = pb.ModelConfig(
        name=f"{description.model}__prompt_encoder",
        platform="ensemble",
        max_batch_size=MAX_BATCH_SIZE,
    )
    config.input.add(name="prompt", data_type=pb.TYPE_STRING, dims=[1])
    _add_embeds(config.output, description)
    length = description.max_prompt_tokens
    config.output.add(name="attention_mask", data_type=pb.TYPE_INT64, dims=[length])
    config.output.add(name="num_tokens", data_type=pb.TYPE_INT64, dims=[1])
    config.output.add(name="is_truncated", data_type=pb.TYPE_BOOL, dims=[1])
    tokens, t5, clip = ("input_ids", "attention_mask"), "t5_hidden_states", "clip_pooled"
    # Triton runs the two encoders side by side: neither reads what the other writes.
    steps: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("tokenizer", ("prompt",), (*tokens, "num_tokens", "is_truncated")),
        ("t5_encoder", tokens, (t5,)),
        ("clip_encoder", tokens, (clip,)),
        ("text_projection", (t5, clip), ("prompt_embeds", "pooled_prompt_embeds")),
    )
    for role, inputs, outputs in steps:
        step = config.ensemble_scheduling.step.add(
            model_name=f"{description.model}__{role}", model_version=-1
        )
        step.input_map.update({name: name for name in inputs})
        step.output_map.update({name: name for name in outputs})
    return config


def _dit_sampler(description: ModelDescription, _: Target) -> Any:
    config = _python_model(description, "dit_sampler", max_batch_size=0)
    config.model_transaction_policy.decoupled = True
    embeds = (
        ("prompt_embeds", pb.TYPE_FP32, [_ANY, _ANY]),
        ("attention_mask", pb.TYPE_INT64, [_ANY]),
        ("pooled_prompt_embeds", pb.TYPE_FP32, [_ANY]),
    )
    for prefix in ("", "negative_"):
        for name, data_type, dims in embeds:
            config.input.add(
                name=prefix + name, data_type=data_type, dims=dims, optional=bool(prefix)
            )
    integers = ("seed", "num_inference_steps", "num_frames", "height", "width", "num_steps")
    for name in integers:
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    config.input.add(name="guidance_scale", data_type=pb.TYPE_FP64, dims=[1])
    for name in ("sampler", "attention"):
        config.input.add(name=name, data_type=pb.TYPE_STRING, dims=[1])
    config.input.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY], optional=True)
    config.input.add(name="preview_steps", data_type=pb.TYPE_INT64, dims=[_ANY], optional=True)
    for name in ("step_index", "num_final_frames", "is_numerics_changed"):
        config.output.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    for name in ("sigma", "step_seconds"):
        config.output.add(name=name, data_type=pb.TYPE_FP64, dims=[1])
    for name in ("preview", "state"):
        config.output.add(name=name, data_type=pb.TYPE_UINT8, dims=[_ANY])
    return config


def _vae_decoder(description: ModelDescription, _: Target) -> Any:
    config = _python_model(description, "vae_decoder", max_batch_size=0)
    config.model_transaction_policy.decoupled = True
    config.input.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY])
    for name in ("first_latent_frame", "end_latent_frame"):
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    config.input.add(name="feat_cache", data_type=pb.TYPE_UINT8, dims=[_ANY], optional=True)
    config.input.add(name="ring", data_type=pb.TYPE_STRING, dims=[1], optional=True)
    config.output.add(name="frames", data_type=pb.TYPE_UINT8, dims=[_ANY, _ANY, _ANY, 3])
    config.output.add(name="frames_shape", data_type=pb.TYPE_INT64, dims=[4])
    config.output.add(name="feat_cache", data_type=pb.TYPE_UINT8, dims=[_ANY])
    config.output.add(name="num_frames", data_type=pb.TYPE_INT64, dims=[1])
    return config


def _python_model(description: ModelDescription, role: str, *, max_batch_size: int) -> Any:
    config = pb.ModelConfig(
        name=f"{description.model}__{role}", backend="python", max_batch_size=max_batch_size
    )
    # One process a role, which finds its own device: see telecine.backend.devices.
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    config.parameters["weights"].string_value = description.weights
    return config


def _add_embeds(tensors: Any, description: ModelDescription) -> None:
    dims = [description.max_prompt_tokens, description.prompt_width]
    tensors.add(name="prompt_embeds", data_type=pb.TYPE_FP32, dims=dims)
    dims = [description.pooled_width]
    tensors.add(name="pooled_prompt_embeds", data_type=pb.TYPE_FP32, dims=dims)


_ROLES: dict[str, Callable[[ModelDescription, Target], Any]] = {
    "tokenizer": _tokenizer,
    "t5_encoder": _t5_encoder,
    "clip_encoder": _clip_encoder,
    "text_projection": _text_projection,
    "prompt_encoder": _prompt_encoder,
    "dit_sampler": _dit_sampler,
    "vae_decoder": _vae_decoder,
}
ROLES = tuple(_ROLES)
