"""`telecine estimate` and `telecine usage`."""

from collections.abc import Callable
from typing import Any

from gateway_process import GatewayProcess
from typer.testing import Result

from telecine.client import Client

Run = Callable[..., Result]


def test_estimate_tells_credits_and_what_would_be_made(run: Run) -> None:
    result = run("estimate", "a red circle", "--tier", "premium", "--fps", "8", "--duration", "2")
    assert result.exit_code == 0
    assert "0.052224 credits: 17 frames of 128x128 at 8 fps, models/toybox" in result.stdout


def test_usage_shows_the_account_and_the_newest_lines_of_its_ledger(
    gateway: GatewayProcess, run: Run, documents: Callable[[Result], list[dict[str, Any]]]
) -> None:
    with Client(gateway.address) as client:
        client.cancel_video(client.create_video("a red circle").name)
        video = client.create_video("a red circle")
    result = run("usage", "--entries", "2")
    assert result.exit_code == 0
    assert "open videos 1" in " ".join(result.stdout.split())
    assert video.name in result.stdout
    assert "refund" in result.stdout
    used, *entries = documents(run("usage", "--json", "--entries", "1"))
    assert used["reserved_microcredits"] == str(video.estimated_microcredits)
    assert [entry["video"] for entry in entries] == [video.name]
