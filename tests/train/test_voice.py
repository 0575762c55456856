"""What the shipped weights make heard, judged from frames and waveform."""

from statistics import median

import pytest

from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.media.sound import resample
from train.generate import Generator, Settings
from train.sound_judge import SAMPLE_RATE
from train.sound_score import SoundVerdict, judge_sound
from train.world import Scene

pytestmark = pytest.mark.slow
SEEDS = range(5, 13)
USUAL_SECONDS = 0.06
"""Of a few clips; of a hundred, scripts/evaluate.py tells the 95th percentile too."""
SOUNDED_SHARE = 2 / 3
"""Of the contacts; where a picture tears the judge sees one more, which nobody hears."""


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(BUILT_IN_WEIGHTS / "toybox")


def _verdict(generator: Generator, scene: Scene, seed: int, settings: Settings) -> SoundVerdict:
    prompt = (
        f"a {scene.colour} {scene.shape} bouncing on the floor on a {scene.background} background"
    )
    frames, sound = generator.frames_and_sound(prompt, seed, settings)
    heard = resample(sound, SAMPLE_RATE).samples.mean(0)
    return judge_sound(scene, frames.numpy(), heard, settings.fps)


@pytest.mark.parametrize("audio_mode", ["JOINT", "POST_SYNC"])
@pytest.mark.parametrize(("colour", "shape"), [("red", "circle"), ("blue", "square")])
def test_a_bounce_thumps_as_it_hits_the_floor_in_its_shapes_timbre(
    generator: Generator, audio_mode: str, colour: str, shape: str
) -> None:
    scene = Scene(colour, shape, "bounce", "white")
    settings = Settings(audio_mode=audio_mode)
    verdicts = [_verdict(generator, scene, seed, settings) for seed in SEEDS]
    gaps = [gap for verdict in verdicts for gap in verdict.gaps]
    assert sum(gap < USUAL_SECONDS for gap in gaps) >= SOUNDED_SHARE * len(gaps)
    assert median(gaps) < USUAL_SECONDS
    assert sum(verdict.num_unseen > 0 for verdict in verdicts) <= 1
    assert all(verdict.has_timbre for verdict in verdicts)


def test_sound_for_a_finished_picture_leaves_it_as_it_was(generator: Generator) -> None:
    prompt = "a red circle moving left on a white background"
    silent = generator.frames(prompt, SEEDS[0], Settings(num_inference_steps=4))
    settings = Settings(num_inference_steps=4, audio_mode="POST_SYNC")
    frames, _ = generator.frames_and_sound(prompt, SEEDS[0], settings)
    assert frames.equal(silent)
