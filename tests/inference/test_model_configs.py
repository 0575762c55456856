"""Configs of the variants that no server here can run."""

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from telecine.inference.model_configs import ModelDescription, write_configs

DESCRIPTION = ModelDescription(
    model="other",
    weights="/weights/other",
    max_prompt_tokens=77,
    prompt_width=2048,
    pooled_width=1024,
)


def parse(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_tensorrt_target_changes_the_encoders_alone() -> None:
    onnx, tensorrt = write_configs(DESCRIPTION), write_configs(DESCRIPTION, "tensorrt")
    changed = {role for role in onnx if onnx[role] != tensorrt[role]}
    assert changed == {"t5_encoder", "clip_encoder"}
    for role in changed:
        before, after = parse(onnx[role]), parse(tensorrt[role])
        assert after.platform == "tensorrt_plan"
        assert list(after.input) == list(before.input)
        assert list(after.output) == list(before.output)


def test_ensemble_lets_both_encoders_start_from_the_tokens() -> None:
    ensemble = parse(write_configs(DESCRIPTION)["prompt_encoder"])
    steps = {step.model_name: step for step in ensemble.ensemble_scheduling.step}
    tokens = set(steps["other__tokenizer"].output_map.values())
    for encoder in ("other__t5_encoder", "other__clip_encoder"):
        assert set(steps[encoder].input_map.values()) <= tokens
