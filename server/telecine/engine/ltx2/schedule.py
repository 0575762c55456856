"""Noise levels that lean the more to high noise the more tokens a video has."""

import math
from collections.abc import Mapping
from typing import Any


def noise_levels(
    config: Mapping[str, Any], num_inference_steps: int, *, num_tokens: int
) -> list[float]:
    """Those that steps begin at, as scheduler_config.json says: from 1, one a step."""
    shift = _shift(config, num_tokens=num_tokens)
    # Of what is clean, not of noise: a long video's levels lie closer to 1 than floats do.
    clean = [_clean(step / num_inference_steps, shift) for step in range(num_inference_steps)]
    terminal = config.get("shift_terminal")
    if not terminal or clean[-1] == 0.0:
        return [1.0 - share for share in clean]
    # Stretched, so that the last step starts from `terminal`.
    return [1.0 - share * (1.0 - terminal) / clean[-1] for share in clean]


def _clean(progress: float, shift: float) -> float:
    """What is not noise, after that part of the way: 1 less `shifted` (samplers/base.py)."""
    return progress / (1.0 + (shift - 1.0) * (1.0 - progress))


def _shift(config: Mapping[str, Any], *, num_tokens: int) -> float:
    """What levels are shifted by: exponential in a line through two numbers of tokens."""
    if not config["use_dynamic_shifting"]:
        return float(config["shift"])
    few, many = config["base_image_seq_len"], config["max_image_seq_len"]
    slope = (config["max_shift"] - config["base_shift"]) / (many - few)
    line: float = config["base_shift"] + slope * (num_tokens - few)
    return math.exp(line) if config.get("time_shift_type", "exponential") == "exponential" else line
