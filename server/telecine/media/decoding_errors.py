"""What a decoder says is wrong with a stranger's file, fit for that stranger."""

import av
from PIL import UnidentifiedImageError


def reason_of(error: Exception) -> str:
    """Returns an error's text without addresses in memory and paths of ours."""
    if isinstance(error, UnidentifiedImageError):
        return "its format is unknown"
    if isinstance(error, av.FFmpegError):
        return str(error.strerror)
    return str(error)
