"""Noise levels and timesteps, to the last bit those of diffusers' schedulers.

The published folders name either FlowMatchEulerDiscreteScheduler or UniPCMultistepScheduler
with flow sigmas. They do not agree: each spaces and rounds in its own way, and the network sees
UniPC's timesteps cut to integers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from telecine.engine.samplers import SAMPLERS

_Levels = NDArray[np.floating[Any]]
_HIGHEST_GAP = 1e-6
"""UniPC starts this far below 1, where the log of the signal would be infinite."""
_UNSUPPORTED = (
    "use_dynamic_shifting",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "shift_terminal",
    "invert_sigmas",
    "stochastic_sampling",
)


@dataclass(frozen=True)
class WanSchedule:
    """How much noise each step starts with, by the folder's own shift."""

    shift: float
    default_sampler: str
    num_train_timesteps: int = 1000

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read scheduler_config.json.

        Raises:
            ValueError: it asks for a schedule that no Wan model has.
        """
        described = json.loads(path.read_text())
        asked = [name for name in _UNSUPPORTED if described.get(name)]
        if asked:
            raise ValueError(f"{path}: not supported: {', '.join(asked)}")
        is_unipc = described["_class_name"] == "UniPCMultistepScheduler"
        return cls(
            shift=float(described["flow_shift" if is_unipc else "shift"]),
            default_sampler="unipc" if is_unipc else "euler",
            num_train_timesteps=int(described["num_train_timesteps"]),
        )

    def sigmas(self, sampler: str, num_inference_steps: int) -> tuple[float, ...]:
        """Noise levels from 1 to 0, one more than steps.

        Raises:
            ValueError: there is no such sampler.
        """
        levels = self._levels(sampler, num_inference_steps).astype(np.float32)
        return (*levels.tolist(), 0.0)

    def timesteps(self, sampler: str, num_inference_steps: int) -> tuple[float, ...]:
        """What the network is told of each step's noise level: from 0 to 1000, one a step."""
        levels = self._levels(sampler, num_inference_steps)
        if sampler == "unipc":
            whole: list[int] = (levels * self.num_train_timesteps).astype(np.int64).tolist()
            return tuple(map(float, whole))
        times: list[float] = (levels.astype(np.float32) * self.num_train_timesteps).tolist()
        return tuple(times)

    def timestep(self, sampler: str, sigma: float) -> float:
        """The same at a level between two steps, where a sampler may look as well."""
        timestep = sigma * self.num_train_timesteps
        return float(int(timestep)) if sampler == "unipc" else timestep

    def _levels(self, sampler: str, num_inference_steps: int) -> _Levels:
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler: there is no {sampler!r}")
        if sampler == "unipc":
            return self._unipc_levels(num_inference_steps)
        if sampler in {"ddim", "ddpm"}:
            return np.array(SAMPLERS[sampler].sigmas(num_inference_steps, self.shift)[:-1])
        return self._euler_levels(num_inference_steps)

    def _euler_levels(self, num_inference_steps: int) -> _Levels:
        # The lowest training level is shifted before the levels are spaced, and all after that.
        lowest = float(self._shifted(np.array([1], np.float32) / self.num_train_timesteps)[0])
        times = np.linspace(
            self.num_train_timesteps, lowest * self.num_train_timesteps, num_inference_steps
        )
        return self._shifted(times / self.num_train_timesteps)

    def _unipc_levels(self, num_inference_steps: int) -> _Levels:
        levels = np.linspace(1, 1 / self.num_train_timesteps, num_inference_steps + 1)[:-1]
        levels = self._shifted(levels)
        if abs(levels[0] - 1) < _HIGHEST_GAP:
            levels[0] -= _HIGHEST_GAP
        return levels

    def _shifted(self, levels: _Levels) -> _Levels:
        shifted: _Levels = self.shift * levels / (1 + (self.shift - 1) * levels)
        return shifted
