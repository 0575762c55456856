"""Prices are exact, and each part of them can be told apart."""

from decimal import Decimal
from typing import Any

import pytest

from telecine.api.price_list import PriceList
from telecine.config import PriceSettings, TierPrices
from telecine.errors import InvalidFieldError
from telecine.v1 import video_pb2


def price(settings: PriceSettings, *, num_frames: int = 16, **fields: Any) -> int:
    spec = video_pb2.VideoSpec(
        **{
            "model": "models/wan",
            "size": video_pb2.Size(width=1000, height=1000),
            "fps": 16,
            "tier": video_pb2.TIER_STANDARD,
            "audio_mode": video_pb2.AUDIO_MODE_NONE,
            **fields,
        }
    )
    return PriceList(settings).price_of(spec, num_frames=num_frames)


def test_a_second_of_a_megapixel_is_the_unit() -> None:
    assert price(PriceSettings()) == 1_000_000
    assert price(PriceSettings(credits_per_second=Decimal("0.1"))) == 100_000
    assert price(PriceSettings(credits_per_second=Decimal(0))) == 0


@pytest.mark.parametrize(
    ("fields", "factor"),
    [
        ({"num_frames": 33}, 33 / 16),
        ({"fps": 32}, 0.5),
        ({"size": video_pb2.Size(width=2000, height=500)}, 1),
        ({"size": video_pb2.Size(width=500, height=500)}, 0.25),
        ({"tier": video_pb2.TIER_REALTIME}, 2),
        ({"tier": video_pb2.TIER_BATCH}, 0.5),
        ({"model": "models/other"}, 1 / 2.5),
        ({"audio_mode": video_pb2.AUDIO_MODE_JOINT}, 1.25),
        ({"upscale": 2}, 1),
        ({"num_frames": 99, "extend": video_pb2.Extend(num_frames=8)}, 0.5),
    ],
    ids=str,
)
def test_each_part_multiplies_the_price(fields: dict[str, Any], factor: float) -> None:
    settings = PriceSettings(models={"wan": Decimal("2.5")})
    assert price(settings, **fields) == round(2_500_000 * factor)


def test_what_is_not_whole_is_rounded_up_once() -> None:
    third = PriceSettings(credits_per_second=Decimal("0.000001"))
    assert price(third, num_frames=1) == 1
    assert price(PriceSettings(), num_frames=1, fps=3, size=video_pb2.Size(width=1, height=1)) == 1
    tiers = TierPrices(standard=Decimal("0.333"))
    many = PriceSettings(credits_per_second=Decimal("0.7"), tiers=tiers, sound=Decimal("1.1"))
    exact = Decimal("0.7") * Decimal("0.333") * Decimal("1.1") * 49 * 832 * 480 / 16
    made = price(
        many,
        num_frames=49,
        size=video_pb2.Size(width=832, height=480),
        audio_mode=video_pb2.AUDIO_MODE_POST_SYNC,
    )
    assert made == exact.to_integral_value(rounding="ROUND_CEILING")


def test_price_that_no_account_could_hold_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="too many"):
        price(PriceSettings(credits_per_second=Decimal(10**9)), num_frames=10**5)


@pytest.mark.parametrize("text", ["-1", "0.0000001", "NaN"])
def test_price_that_cannot_be_exact_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="credits_per_second"):
        PriceSettings(credits_per_second=Decimal(text))
