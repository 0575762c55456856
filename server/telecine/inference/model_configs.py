"""The config.pbtxt of every role of a model, written whole.

Conditioning roles take batches, so their shapes here leave out the batch; the sampler
and the decoder take one video a request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

Target = Literal["cpu", "cuda", "tensorrt"]
"""What runs the text encoders that export: ONNX Runtime on the CPU or PyTorch on the GPU, both in
the Python backend, or TensorRT plans."""

MAX_BATCH_SIZE = 8
FULL_WEIGHTS = "full"
_HEADER = "# Written by scripts/build_model_repository.py.\n"
_ANY = -1
PROMPT_FACTS = ("num_tokens", "max_tokens", "is_truncated")
"""What the tokenizer tells of a prompt, for people."""
TOKENIZER_OUTPUTS = ("input_ids", "attention_mask", *PROMPT_FACTS)
SOUND_INTEGERS = ("seed", "num_inference_steps", "num_frames", "height", "width", "fps")
"""Whole numbers in the request of a finished picture's sound."""
SLICE_INTEGERS = (*SOUND_INTEGERS, "num_steps")
"""Whole numbers in a slice's request."""


class TensorDescription(NamedTuple):
    """What a tensor of one prompt is: Triton's name of its type, and its sizes without a batch."""

    data_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class EncoderDescription:
    """A network of the prompt's encoding; see `telecine.engine.families.protocol.EncoderRole`."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    runtime: Literal["onnx", "torch"]


@dataclass(frozen=True)
class ModelDescription:
    """What the configs of one model depend on.

    Attributes:
        model: the first part of the roles' names.
        weights: the built-in family's name, or a folder.
        encoders: the networks behind the tokenizer.
        tensors: all that the tokenizer and they give, by name.
        conditioning: which of these the sampler reads.
        image_conditioning: what the sampler reads of pictures beside their latents, by name: how
            many dimensions; None for a model that makes videos of text alone.
        audio_modes: how it makes sound, `JOINT` or `POST_SYNC`; none for a silent model.
        given_audio_dims: how many dimensions latents of a sound have that it makes a picture to; 0
            where it cannot.
        encoder_threads: threads of each ONNX session.
        weights_mode: how the denoiser's are held; see `telecine.engine.offload.LoadOptions`.
        parallel_sizes: ranks that share the denoiser, by the names of
            `telecine.engine.parallel.layout.ParallelConfig`; one that is not named is 1.
    """

    model: str
    weights: str
    encoders: tuple[EncoderDescription, ...]
    tensors: Mapping[str, TensorDescription]
    conditioning: tuple[str, ...]
    image_conditioning: Mapping[str, int] | None = None
    audio_modes: tuple[str, ...] = ()
    given_audio_dims: int = 0
    encoder_threads: int = 1
    weights_mode: str = FULL_WEIGHTS
    parallel_sizes: Mapping[str, int] = field(default_factory=dict)


def write_configs(description: ModelDescription, target: Target = "cpu") -> dict[str, str]:
    """Return the text of config.pbtxt by role."""
    configs = {
        "tokenizer": _tokenizer(description),
        **{each.name: _encoder(description, each, target) for each in description.encoders},
        "prompt_encoder": _prompt_encoder(description),
        "dit_sampler": _dit_sampler(description),
        "vae_decoder": _vae_decoder(description),
    }
    if description.image_conditioning is not None:
        configs |= {
            "image_preprocess": _image_preprocess(description),
            "image_encoder": _image_encoder(description, description.image_conditioning),
            "image_conditioner": _image_conditioner(description, description.image_conditioning),
        }
    if description.audio_modes:
        configs["audio_decoder"] = _audio_decoder(description)
    if "POST_SYNC" in description.audio_modes:
        configs["audio_dit"] = _audio_dit(description)
    if description.given_audio_dims:
        configs["audio_encoder"] = _audio_encoder(description)
    return {role: _HEADER + text_format.MessageToString(pb) for role, pb in configs.items()}


def _tokenizer(description: ModelDescription) -> Any:
    config = _python_model(description, "tokenizer", max_batch_size=MAX_BATCH_SIZE)
    config.input.add(name="prompt", data_type=pb.TYPE_STRING, dims=[1])
    _add_tensors(config.output, description, TOKENIZER_OUTPUTS)
    return config


def _encoder(description: ModelDescription, encoder: EncoderDescription, target: Target) -> Any:
    if encoder.runtime == "onnx" and target == "tensorrt":
        config = pb.ModelConfig(
            name=f"{description.model}__{encoder.name}",
            platform="tensorrt_plan",
            max_batch_size=MAX_BATCH_SIZE,
        )
        config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    else:
        config = _python_model(description, encoder.name, max_batch_size=MAX_BATCH_SIZE)
        config.parameters["role"].string_value = encoder.name
        runtime = "torch" if target == "cuda" else encoder.runtime
        config.parameters["runtime"].string_value = runtime
        config.parameters["num_threads"].string_value = str(description.encoder_threads)
    _add_tensors(config.input, description, encoder.inputs)
    _add_tensors(config.output, description, encoder.outputs)
    return config


def _prompt_encoder(description: ModelDescription) -> Any:
    config = pb.ModelConfig(
        name=f"{description.model}__prompt_encoder",
        platform="ensemble",
        max_batch_size=MAX_BATCH_SIZE,
    )
    config.input.add(name="prompt", data_type=pb.TYPE_STRING, dims=[1])
    told = [name for name in PROMPT_FACTS if name not in description.conditioning]
    _add_tensors(config.output, description, (*description.conditioning, *told))
    # Triton runs side by side what does not read what the other writes.
    steps: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
    steps = [("tokenizer", ("prompt",), TOKENIZER_OUTPUTS)]
    steps += [(each.name, each.inputs, each.outputs) for each in description.encoders]
    for role, inputs, outputs in steps:
        _add_step(config, f"{description.model}__{role}", inputs, outputs)
    return config


def _add_step(config: Any, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    step = config.ensemble_scheduling.step.add(model_name=name, model_version=-1)
    step.input_map.update({each: each for each in inputs})
    step.output_map.update({each: each for each in outputs})


def _dit_sampler(description: ModelDescription) -> Any:
    config = _python_model(description, "dit_sampler", max_batch_size=0)
    config.model_transaction_policy.decoupled = True
    _set_holding(config, description)
    _add_prompts(config, description)
    for name in SLICE_INTEGERS:
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    config.input.add(name="guidance_scale", data_type=pb.TYPE_FP64, dims=[1])
    for name in ("sampler", "attention"):
        config.input.add(name=name, data_type=pb.TYPE_STRING, dims=[1])
    config.input.add(name="lora_names", data_type=pb.TYPE_STRING, dims=[_ANY], optional=True)
    config.input.add(name="lora_scales", data_type=pb.TYPE_FP64, dims=[_ANY], optional=True)
    if description.image_conditioning is not None:
        _add_clip_start(config, description.image_conditioning)
    if description.audio_modes:
        config.input.add(name="audio_mode", data_type=pb.TYPE_STRING, dims=[1], optional=True)
    if dims := [_ANY] * description.given_audio_dims:
        name = "given_audio_latents"
        config.input.add(name=name, data_type=pb.TYPE_FP32, dims=dims, optional=True)
    config.input.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY], optional=True)
    config.input.add(name="preview_steps", data_type=pb.TYPE_INT64, dims=[_ANY], optional=True)
    for name in ("step_index", "num_final_frames", "is_numerics_changed"):
        config.output.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    for name in ("sigma", "step_seconds"):
        config.output.add(name=name, data_type=pb.TYPE_FP64, dims=[1])
    for name in ("preview", "state"):
        config.output.add(name=name, data_type=pb.TYPE_UINT8, dims=[_ANY])
    return config


def _add_prompts(config: Any, description: ModelDescription) -> None:
    for prefix in ("", "negative_"):
        _add_tensors(config.input, description, description.conditioning, prefix=prefix)


def _set_holding(config: Any, description: ModelDescription) -> None:
    """How the denoiser's weights are held, and over how many ranks."""
    if description.weights_mode != FULL_WEIGHTS:
        config.parameters["weights_mode"].string_value = description.weights_mode
    for name, size in description.parallel_sizes.items():
        if size > 1:
            config.parameters[name].string_value = str(size)


def _add_clip_start(config: Any, image_conditioning: Mapping[str, int]) -> None:
    """What a video is made from beside its prompt."""
    for name, num_dims in {**image_conditioning, "given_latents": 4, "source_latents": 4}.items():
        dims = [_ANY] * num_dims
        config.input.add(name=name, data_type=pb.TYPE_FP32, dims=dims, optional=True)
    config.input.add(name="given_latent_frames", data_type=pb.TYPE_INT64, dims=[1], optional=True)
    config.input.add(name="strength", data_type=pb.TYPE_FP64, dims=[1], optional=True)


def _image_preprocess(description: ModelDescription) -> Any:
    config = _python_model(description, "image_preprocess", max_batch_size=0)
    _add_frames(config.input, "frames")
    for name in ("height", "width"):
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    _add_frames(config.output, "fitted_frames")
    return config


def _image_encoder(description: ModelDescription, image_conditioning: Mapping[str, int]) -> Any:
    config = _python_model(description, "image_encoder", max_batch_size=0)
    _add_frames(config.input, "fitted_frames")
    config.input.add(name="num_frames", data_type=pb.TYPE_INT64, dims=[1])
    _add_encoded_images(config.output, image_conditioning)
    return config


def _image_conditioner(description: ModelDescription, image_conditioning: Mapping[str, int]) -> Any:
    config = pb.ModelConfig(name=f"{description.model}__image_conditioner", platform="ensemble")
    _add_frames(config.input, "frames")
    for name in ("height", "width", "num_frames"):
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    _add_encoded_images(config.output, image_conditioning)
    steps = (
        ("image_preprocess", ("frames", "height", "width"), ("fitted_frames",)),
        ("image_encoder", ("fitted_frames", "num_frames"), ("latents", *image_conditioning)),
    )
    for role, inputs, outputs in steps:
        _add_step(config, f"{description.model}__{role}", inputs, outputs)
    return config


def _add_frames(tensors: Any, name: str) -> None:
    tensors.add(name=name, data_type=pb.TYPE_UINT8, dims=[_ANY, _ANY, _ANY, 3])


def _add_encoded_images(tensors: Any, image_conditioning: Mapping[str, int]) -> None:
    for name, num_dims in {"latents": 4, **image_conditioning}.items():
        tensors.add(name=name, data_type=pb.TYPE_FP32, dims=[_ANY] * num_dims)


def _vae_decoder(description: ModelDescription) -> Any:
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


def _audio_dit(description: ModelDescription) -> Any:
    config = _python_model(description, "audio_dit", max_batch_size=0)
    # An empty response for each step: a stream tells of a process that ended, and can be cancelled.
    config.model_transaction_policy.decoupled = True
    _add_prompts(config, description)
    for name in SOUND_INTEGERS:
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    config.input.add(name="guidance_scale", data_type=pb.TYPE_FP64, dims=[1])
    for name in ("sampler", "attention"):
        config.input.add(name=name, data_type=pb.TYPE_STRING, dims=[1])
    config.input.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY])
    config.output.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY])
    return config


def _audio_encoder(description: ModelDescription) -> Any:
    config = _python_model(description, "audio_encoder", max_batch_size=0)
    config.input.add(name="waveform", data_type=pb.TYPE_FP32, dims=[_ANY])
    for name in ("num_frames", "fps"):
        config.input.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    dims = [_ANY] * description.given_audio_dims
    config.output.add(name="audio_latents", data_type=pb.TYPE_FP32, dims=dims)
    return config


def _audio_decoder(description: ModelDescription) -> Any:
    config = _python_model(description, "audio_decoder", max_batch_size=0)
    config.model_transaction_policy.decoupled = True
    config.input.add(name="state", data_type=pb.TYPE_UINT8, dims=[_ANY])
    config.output.add(name="samples", data_type=pb.TYPE_FP32, dims=[_ANY, _ANY])
    for name in ("sample_rate", "num_samples"):
        config.output.add(name=name, data_type=pb.TYPE_INT64, dims=[1])
    return config


def _python_model(description: ModelDescription, role: str, *, max_batch_size: int) -> Any:
    config = pb.ModelConfig(
        name=f"{description.model}__{role}", backend="python", max_batch_size=max_batch_size
    )
    # One process a role, which finds its own device: see telecine.backend.devices.
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    config.parameters["weights"].string_value = description.weights
    return config


def _add_tensors(
    tensors: Any, description: ModelDescription, names: Sequence[str], *, prefix: str = ""
) -> None:
    for name in names:
        data_type, dims = description.tensors[name]
        tensor = tensors.add(name=prefix + name, data_type=f"TYPE_{data_type}", dims=dims)
        if prefix:
            tensor.optional = True
