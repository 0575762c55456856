import pytest

from telecine.client.connection import Resumption
from telecine.client.errors import NotFoundError, UnavailableError


def test_a_server_that_is_away_is_tried_until_patience_ends() -> None:
    resumption = Resumption(patience_seconds=3.0)
    error = UnavailableError("away")
    delays = []
    with pytest.raises(UnavailableError):
        for _ in range(100):
            delays.append(resumption.delay_after(error))
    assert 3.0 <= sum(delays) <= 6.0
    assert delays == sorted(delays)


def test_progress_renews_patience() -> None:
    resumption = Resumption(patience_seconds=0.05)
    for _ in range(10):
        resumption.delay_after(UnavailableError("away"))
        resumption.note_progress()


def test_an_answer_that_will_not_change_is_raised_at_once() -> None:
    with pytest.raises(NotFoundError):
        Resumption(patience_seconds=60.0).delay_after(NotFoundError("no"))
