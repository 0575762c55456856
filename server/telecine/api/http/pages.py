"""What every list of the dialect says of its page."""

from collections.abc import Sequence
from typing import Any, Protocol


class Shown(Protocol):
    """An object of a list."""

    id: str


def page_fields(shown: Sequence[Shown], *, has_more: bool) -> dict[str, Any]:
    """Returns the fields of a list with these objects; `after=last_id` asks for the next page."""
    return {
        "data": shown,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
        "has_more": has_more,
    }
