"""What is wrong with settings, each in one line that names it."""

import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource, SettingsError


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


def refuse_unknown_sections(
    environment: PydanticBaseSettingsSource, sections: Collection[str]
) -> None:
    """See that each variable of the environment which looks like a setting is in a section.

    An unknown key of a section is refused with the rest; a variable of no section would go unseen.

    Raises:
        SettingsError: one is not.
    """
    assert isinstance(environment, EnvSettingsSource)
    prefix, delimiter = environment.env_prefix.lower(), environment.env_nested_delimiter
    assert delimiter
    for name in environment.env_vars:
        section, is_nested, _ = name.lower().removeprefix(prefix).partition(delimiter)
        if name.lower().startswith(prefix) and is_nested and section not in sections:
            raise SettingsError(f"{name.upper()}: there is no section {section!r}")
