"""A layout that cannot be is refused, by the name of what is wrong, before anything is loaded."""

from dataclasses import replace

import pytest

from telecine.engine.parallel.layout import ParallelConfig, ParallelPlan, require_layout

TOYBOX = ParallelPlan(num_heads=(6,), axes=frozenset({"tensor", "sequence", "guidance"}))
WAN = ParallelPlan(
    num_heads=(12,),
    axes=frozenset({"tensor", "sequence", "guidance"}),
    head_axes=frozenset({"tensor", "sequence"}),
)
TWO_SIDED = ParallelPlan(num_heads=(32, 6), axes=frozenset({"tensor"}))


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"tensor_parallel_size": "0"}, "tensor_parallel_size: 0"),
        ({"tensor_parallel_size": "65"}, "tensor_parallel_size: 65"),
        ({"sequence_parallel_size": "two"}, "layout of the model"),
        ({"guidance_parallel_size": "3"}, "guidance_parallel_size: 3"),
    ],
)
def test_impossible_size_is_refused_by_name(parameters: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ParallelConfig.from_parameters(parameters)


def test_sizes_that_are_not_named_are_one() -> None:
    config = ParallelConfig.from_parameters({"weights": "toybox", "tensor_parallel_size": "2"})
    assert config == ParallelConfig(tensor_parallel_size=2)


@pytest.mark.parametrize(
    ("plan", "config", "message"),
    [
        (TOYBOX, ParallelConfig(4), "tensor_parallel_size: 4 ranks cannot share 6 heads"),
        (
            WAN,
            ParallelConfig(4, 2),
            "sequence_parallel_size and tensor_parallel_size: 8 ranks cannot share 12 heads",
        ),
        (TWO_SIDED, ParallelConfig(4), "tensor_parallel_size: 4 ranks cannot share 6 heads"),
        (
            TWO_SIDED,
            ParallelConfig(guidance_parallel_size=2),
            "guidance_parallel_size: 2: this model is shared by tensor alone",
        ),
    ],
)
def test_layout_that_the_model_does_not_allow_is_refused(
    plan: ParallelPlan, config: ParallelConfig, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plan.check(config)


def test_frames_need_not_be_shared_evenly_as_heads_must() -> None:
    TOYBOX.check(ParallelConfig(tensor_parallel_size=2, sequence_parallel_size=5))


def test_several_ranks_hold_weights_in_full() -> None:
    with pytest.raises(ValueError, match="weights_mode: int8"):
        require_layout(TOYBOX, ParallelConfig(2), weights_mode="int8")
    require_layout(TOYBOX, ParallelConfig(), weights_mode="int8")


@pytest.mark.parametrize(
    ("config", "has_joint_sound"),
    [
        (ParallelConfig(), True),
        (ParallelConfig(tensor_parallel_size=2, guidance_parallel_size=2), True),
        (ParallelConfig(tensor_parallel_size=2, sequence_parallel_size=2), False),
    ],
)
def test_sound_is_denoised_with_the_picture_along_no_silent_axis(
    config: ParallelConfig, *, has_joint_sound: bool
) -> None:
    silent = replace(TOYBOX, silent_axes=frozenset({"sequence"}))
    assert silent.has_joint_sound(config) is has_joint_sound
    assert TOYBOX.has_joint_sound(config)
