"""How a video's sound is made: as asked for, or as the tier has it and the model can."""

from typing import TypeAlias

from telecine.errors import InvalidFieldError
from telecine.jobs.attention_strategy import FULL
from telecine.v1 import model_pb2, video_pb2

AudioMode: TypeAlias = video_pb2.AudioMode.ValueType

NONE = video_pb2.AUDIO_MODE_NONE
JOINT = video_pb2.AUDIO_MODE_JOINT
POST_SYNC = video_pb2.AUDIO_MODE_POST_SYNC
_MODES = frozenset(video_pb2.AudioMode.values())
_FIELD = "spec.audio_mode"
_PREFIX = "AUDIO_MODE_"
# What a tier has, best first; where nothing of it can be had, a video is silent.
_OF_TIER = {
    video_pb2.TIER_PREMIUM: (JOINT, POST_SYNC),
    video_pb2.TIER_STANDARD: (POST_SYNC, JOINT),
}


def choose_audio_mode(
    sent: video_pb2.VideoSpec, spec: video_pb2.VideoSpec, model: model_pb2.Model, *, attention: str
) -> AudioMode:
    """Returns how the sound of a video is made.

    Args:
        sent: what was asked for.
        spec: the same with every other field resolved.
        model: that makes it.
        attention: which of its frames see which.

    Raises:
        InvalidFieldError: the mode that was asked for cannot be had.
    """
    if sent.audio_mode == video_pb2.AUDIO_MODE_UNSPECIFIED:
        wanted = () if sent.input_audio else _OF_TIER.get(spec.tier, ())
        possible = (mode for mode in wanted if not _hindrance(mode, sent, model, attention))
        return next(possible, NONE)
    if hindrance := _hindrance(sent.audio_mode, sent, model, attention):
        raise InvalidFieldError(_FIELD, hindrance)
    return sent.audio_mode


def _hindrance(
    mode: AudioMode, sent: video_pb2.VideoSpec, model: model_pb2.Model, attention: str
) -> str:
    """Returns why a video cannot have a mode; nothing where it can."""
    if mode == NONE:
        return ""
    if mode not in _MODES:
        return f"{mode} is not a mode"
    if sent.input_audio and mode != JOINT:
        return (
            f"{_word(mode)} makes a sound of its own; input_audio is taken as it is, with NONE, or "
            "the picture is made to it, with JOINT"
        )
    if mode not in model.limits.audio_modes:
        taken = ", ".join(sorted({_word(NONE), *map(_word, model.limits.audio_modes)}))
        return f"{model.name} has no {_word(mode)}; it has {taken}"
    if sent.HasField("extend"):
        return (
            f"{_word(mode)} makes the sound of all frames, and one that is gone on with has "
            "others too"
        )
    return _hindrance_of_joint(sent, model, attention) if mode == JOINT else ""


def _hindrance_of_joint(sent: video_pb2.VideoSpec, model: model_pb2.Model, attention: str) -> str:
    if sent.input_audio and model_pb2.Model.FEATURE_AUDIO_TO_VIDEO not in model.features:
        return (
            f"{model.name} has no FEATURE_AUDIO_TO_VIDEO; input_audio is taken as it is, with NONE"
        )
    if sent.HasField("edit"):
        return "JOINT begins with noise, and a video that is changed does not"
    if attention != FULL:
        return f"JOINT is for videos of full attention; this one has {attention}"
    return ""


def _word(mode: AudioMode) -> str:
    return video_pb2.AudioMode.Name(mode).removeprefix(_PREFIX)
