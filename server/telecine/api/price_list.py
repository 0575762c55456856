"""What videos cost, in whole millionths of a credit; no rounding but the last one, upwards."""

from decimal import Decimal

from telecine.config import PriceSettings
from telecine.errors import InvalidFieldError
from telecine.jobs.fair_scheduler import TIER_WEIGHTS, resolve_tier, tier_word
from telecine.v1 import video_pb2

MICROS = 1_000_000
MAX_PRICE = 2**50 - 1  # the functions that add prices up count in doubles
_MILLI = 1_000
_PIXELS_PER_MEGAPIXEL = 1_000_000
_SILENT = frozenset({video_pb2.AUDIO_MODE_UNSPECIFIED, video_pb2.AUDIO_MODE_NONE})


class PriceList:
    """Prices videos: seconds x megapixels x what model, tier and sound multiply it by."""

    def __init__(self, settings: PriceSettings) -> None:
        self._microcredits_per_second = int(settings.credits_per_second * MICROS)
        self._models = {name: _to_milli(factor) for name, factor in settings.models.items()}
        self._tiers = {
            tier: _to_milli(getattr(settings.tiers, tier_word(tier))) for tier in TIER_WEIGHTS
        }
        self._sound = _to_milli(settings.sound)

    def price_of(self, spec: video_pb2.VideoSpec, *, num_frames: int) -> int:
        """Returns the price of a video.

        Args:
            spec: what will be made, every field resolved.
            num_frames: all frames of the video; of one that is extended, the new ones count.

        Raises:
            InvalidFieldError: it is more than an account can count.
        """
        made_frames = spec.extend.num_frames if spec.HasField("extend") else num_frames
        factors = (
            self._models.get(spec.model.removeprefix("models/"), _MILLI)
            * self._tiers[resolve_tier(spec.tier)]
            * (_MILLI if spec.audio_mode in _SILENT else self._sound)
        )
        pixels = made_frames * spec.size.width * spec.size.height
        whole = spec.fps * _PIXELS_PER_MEGAPIXEL * _MILLI**3
        price = -(-self._microcredits_per_second * factors * pixels // whole)
        if price > MAX_PRICE:
            raise InvalidFieldError("spec", f"would cost {price // MICROS} credits: too many")
        return price


def _to_milli(factor: Decimal) -> int:
    return int(factor * _MILLI)
