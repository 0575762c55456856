"""Mochi's noise levels: slow and even at first, then ever faster."""

import numpy as np

_THRESHOLD = 0.025
"""How far from pure noise the even part ends."""


def linear_quadratic_sigmas(num_inference_steps: int) -> tuple[float, ...]:
    """Noise levels from 1 to 0, one more than steps.

    The first half of the steps goes evenly to a signal share of 0.025; the second half goes on
    along a parabola that begins at that point, as steep as the line, and ends at 1.
    """
    even = num_inference_steps // 2
    rest = num_inference_steps - even
    threshold = _THRESHOLD if even else 0.0
    slope = threshold / even if even else 0.0
    curvature = (1.0 - threshold - slope * rest) / rest**2
    signal = [slope * step for step in range(even)]
    signal += [threshold + slope * step + curvature * step**2 for step in range(rest)]
    # The pipeline's scheduler takes noise levels in single precision, and turns them around.
    levels = (1.0 - np.array(signal)).astype(np.float32)
    inverted = np.float32(1.0) - levels
    return *(1.0 - float(share) for share in inverted), 0.0
