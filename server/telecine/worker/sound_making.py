"""A video's sound as its model makes it."""

from dataclasses import replace

from telecine.errors import ModelError
from telecine.inference.requests import SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.media.sound import Sound
from telecine.v1 import video_pb2

_BOUND = frozenset({video_pb2.AUDIO_MODE_JOINT, video_pb2.AUDIO_MODE_POST_SYNC})


def is_sound_made(spec: video_pb2.VideoSpec) -> bool:
    """Whether the model makes the sound of a video, rather than nobody or its owner."""
    return goes_with_picture(spec) and not spec.input_audio


def goes_with_picture(spec: video_pb2.VideoSpec) -> bool:
    """Whether one of sound and picture is made to the other, or both together."""
    return spec.audio_mode in _BOUND


def slice_audio_mode(spec: video_pb2.VideoSpec) -> str:
    """Returns what a slice's request says of sound."""
    return "JOINT" if spec.audio_mode == video_pb2.AUDIO_MODE_JOINT else "NONE"


async def make_sound(
    triton: TritonClient, model_id: str, finished: SliceRequest, *, spec: video_pb2.VideoSpec
) -> Sound:
    """Returns the sound of a video whose last state is that of `finished`.

    What was denoised along with the picture lies in that state; else it is made now. It is all
    begun anew after a loss, and gives the same samples again.

    Raises:
        ModelServerUnavailableError: the model server went away.
        ModelError: the model failed, or its sound is none.
    """
    if spec.audio_mode == video_pb2.AUDIO_MODE_POST_SYNC:
        finished = replace(finished, state=await triton.make_sound(model_id, finished))
    decoded = await triton.decode_sound(model_id, finished.state)
    try:
        return Sound(decoded.samples, decoded.sample_rate)
    except ValueError as error:
        raise ModelError(f"{model_id}: {error}") from error
