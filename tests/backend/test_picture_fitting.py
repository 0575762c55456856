"""DALI and Pillow fit pictures alike."""

import importlib.util

import numpy as np
import pytest

from telecine.backend import picture_fitting
from telecine.backend.picture_fitting import DaliFitter, Fitter, PillowFitter, open_fitter

SIZES = [(100, 200, 64, 64), (300, 301, 64, 96), (37, 500, 32, 32), (24, 24, 48, 80)]


@pytest.fixture(scope="module", params=["dali", "pillow"])
def fitter(request: pytest.FixtureRequest) -> Fitter:
    if request.param == "pillow":
        return PillowFitter()
    if importlib.util.find_spec("nvidia.dali") is None:
        pytest.skip("DALI is not installed")
    return DaliFitter(gpu=None)


def smooth_frames(num_frames: int, height: int, width: int) -> picture_fitting.Frames:
    rows, columns = np.mgrid[:height, :width]
    waves = [
        np.sin(rows / 9 + k) + np.cos(columns / (7 + c))
        for k in range(num_frames)
        for c in range(3)
    ]
    scaled = (np.stack(waves) + 2) * 63
    return scaled.reshape(num_frames, 3, height, width).transpose(0, 2, 3, 1).astype(np.uint8)


@pytest.mark.parametrize(("found_height", "found_width", "height", "width"), SIZES)
def test_every_size_is_covered(
    fitter: Fitter, found_height: int, found_width: int, height: int, width: int
) -> None:
    frames = smooth_frames(2, found_height, found_width)
    fitted = fitter.fit(frames, height=height, width=width)
    assert fitted.shape == (2, height, width, 3)
    assert fitted.dtype == np.uint8
    expected = PillowFitter().fit(frames, height=height, width=width)
    assert np.abs(fitted.astype(int) - expected).max() <= 2
    assert np.abs(fitted.astype(int) - expected).mean() < 0.3


def test_frames_of_the_right_size_stay_as_they_are(fitter: Fitter) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 40, 56, 3), np.uint8)
    assert (fitter.fit(frames, height=40, width=56) == frames).all()


def test_what_is_too_wide_is_cropped_around_its_middle(fitter: Fitter) -> None:
    frames = np.zeros((1, 30, 90, 3), np.uint8)
    frames[:, :, 30:60] = 255
    assert (fitter.fit(frames, height=30, width=30) == 255).all()


def test_without_dali_pillow_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert isinstance(open_fitter(), PillowFitter)
