"""The forms that texts of a request must have, and what to tell a person whose text has another."""

from collections.abc import Mapping
from typing import Any

from telecine.api.request_validation import RESOURCE_ID

ID = f"^{RESOURCE_ID}$"
SIZE = r"^([0-9]{1,5})x([0-9]{1,5})$"
SECONDS = r"^([0-9]{1,9})(?:\.([0-9]{1,9}))?$"
PRINTABLE = r"^[\x21-\x7e]+$"

_WORDS = {
    ID: "must be an id: at most 64 letters, digits, '.', '_' or '-', a letter or digit first",
    SIZE: "must be the width and the height in pixels, such as 128x128",
    SECONDS: "must be a number of seconds, such as 4 or 2.5",
    PRINTABLE: "must be printable ASCII characters without spaces",
}


def told(problem: Mapping[str, Any]) -> str:
    """Returns what is wrong, as pydantic found it, without showing anybody a pattern."""
    if problem["type"] == "string_pattern_mismatch":
        return _WORDS[problem["ctx"]["pattern"]]
    message: str = problem["msg"]
    return message
