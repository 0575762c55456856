"""`telecine quota`."""

from collections.abc import Callable
from typing import Any

import pytest
from gateway_process import GatewayProcess
from typer.testing import Result

Run = Callable[..., Result]
Documents = Callable[[Result], list[dict[str, Any]]]


def rows(result: Result) -> dict[str, str]:
    """The table's limits by their names."""
    lines = [line.rsplit(maxsplit=1) for line in result.stdout.splitlines() if line.strip()]
    return {line[0].strip(): line[1] for line in lines if len(line) > 1}


def test_what_is_set_is_shown_and_the_rest_stays(
    gateway: GatewayProcess, run: Run, documents: Documents
) -> None:
    assert rows(run("quota", "get"))["open videos"] == "none"
    result = run("quota", "set", "alice", "--daily-credits", "2.5", "--max-stored-mib", "100")
    assert result.exit_code == 0, result.output
    run("quota", "set", "alice", "--max-open-videos", "3", "--tier", "batch")
    shown = rows(run("quota", "get", "--tenant", "alice"))
    assert (shown["credits a day"], shown["stored MiB"]) == ("2.5", "100")
    assert (shown["open videos"], shown["tiers"]) == ("3", "batch")
    (quota,) = documents(run("quota", "set", "alice", "--daily-credits", "-1", "--json"))
    assert (quota["daily_microcredits"], quota["max_open_videos"]) == ("-1", "3")


@pytest.mark.parametrize("given", [(), ("--max-open-videos", "-2"), ("--tier", "gold")])
def test_numbers_that_are_none_are_refused(
    gateway: GatewayProcess, run: Run, given: tuple[str, ...]
) -> None:
    assert run("quota", "set", "alice", *given).exit_code == 2
