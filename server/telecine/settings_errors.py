"""What is wrong with settings, each in one line that names it."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError


@contextmanager
def told_in_a_line(path: Path | None) -> Iterator[None]:
    """Turns what a reading of settings raises into a SettingsError."""
    try:
        yield
    except ValidationError as error:
        # Values stay untold: some are secrets.
        wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError("; ".join(wrong)) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
