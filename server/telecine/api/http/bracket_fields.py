"""Form fields with bracket names, as OpenAI's clients flatten a body: `a[b]`, `a[]`."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from telecine.api.request_validation import shown
from telecine.errors import InvalidFieldError

_MAX_DEPTH = 4
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


def nest_fields(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the object that a form's fields were flattened from.

    `a[b]` is a key, `a[]` an element, `a[][b]` a key of the last element or, where that has it,
    of the next one. A name that comes twice is a list too.

    Raises:
        InvalidFieldError: a name is not of that form, or two of them contradict each other.
    """
    root: dict[str, Any] = {}
    for name, value in fields:
        try:
            _set(root, _path_of(name), value)
        except ValueError as error:
            raise InvalidFieldError(shown(name), str(error)) from None
    return root


def _path_of(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    path = [match.group(1), *_BRACKET.findall(match.group(2))] if match else []
    if not 1 <= len(path) <= _MAX_DEPTH:
        raise ValueError("is not the name of a field")
    return path


def _set(parent: Any, path: list[str], value: Any) -> None:
    *outer, key = path
    for step, following in pairwise(path):
        parent = _child(parent, step, [] if following == "" else {}, key)
    if isinstance(parent, list) and key == "":
        parent.append(value)
    elif isinstance(parent, dict) and key not in parent:
        parent[key] = value
    elif not outer and not isinstance(parent[key], dict):
        known = parent[key]
        parent[key] = [*known, value] if isinstance(known, list) else [known, value]
    else:
        raise ValueError("contradicts another field")


def _child(parent: Any, key: str, empty: Any, last_key: str) -> Any:
    """Returns what lies under a key, made where it is not there yet."""
    if isinstance(parent, list) and key == "":
        # The last element, unless it has the key that is to be set.
        if not parent or not isinstance(parent[-1], dict) or last_key in parent[-1]:
            parent.append(empty)
        return parent[-1]
    if not isinstance(parent, dict) or not isinstance(parent.setdefault(key, empty), type(empty)):
        raise ValueError("contradicts another field")
    return parent[key]
