"""What the sections of telecine.config have in common: their base, and the kinds of values."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Days = Seconds
SECONDS_A_DAY = 86_400
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Credits = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=6)]
CreditRate = Annotated[Decimal, Field(gt=0, le=1_000_000_000, decimal_places=6)]
Factor = Annotated[Decimal, Field(ge=0, le=1000, decimal_places=3)]
ResourceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

ResourceIds = Annotated[tuple[ResourceId, ...], Field(min_length=1)]


class Section(BaseModel):
    """A part of the settings; an unknown key is an error, so that no typo goes unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid")
