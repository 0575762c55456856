import pytest

from telecine.client.connection import MAX_ATTEMPTS, Repetition, Resumption
from telecine.client.errors import NotFoundError, UnavailableError


def test_a_server_that_is_away_is_tried_until_patience_ends() -> None:
    resumption = Resumption(patience_seconds=3.0)
    error = UnavailableError("away")
    delays = []
    with pytest.raises(UnavailableError):
        for _ in range(100):
            delays.append(resumption.delay_after(error))
    assert 3.0 <= sum(delays) <= 6.0
    assert delays[:5] == sorted(delays[:5])


def test_progress_renews_patience() -> None:
    resumption = Resumption(patience_seconds=0.05)
    for _ in range(10):
        resumption.delay_after(UnavailableError("away"))
        resumption.note_progress()


def test_an_answer_that_will_not_change_is_raised_at_once() -> None:
    with pytest.raises(NotFoundError):
        Resumption(patience_seconds=60.0).delay_after(NotFoundError("no"))


def test_the_server_s_own_delay_is_kept_to() -> None:
    error = UnavailableError("away")
    error.retry_seconds = 1.5
    assert 1.5 <= Resumption(patience_seconds=60.0).delay_after(error) < 2.0


def test_a_call_is_made_a_few_times_and_no_more() -> None:
    repetition = Repetition(60.0)
    for _ in range(MAX_ATTEMPTS - 1):
        assert repetition.delay_after(UnavailableError("away")) > 0
    with pytest.raises(UnavailableError):
        repetition.delay_after(UnavailableError("away"))


def test_a_call_that_must_not_be_made_twice_is_not() -> None:
    with pytest.raises(UnavailableError):
        Repetition(60.0, max_attempts=1).delay_after(UnavailableError("away"))


def test_no_wait_goes_beyond_the_time_for_all_tries() -> None:
    error = UnavailableError("away")
    error.retry_seconds = 3.0
    with pytest.raises(UnavailableError):
        Repetition(2.0).delay_after(error)
