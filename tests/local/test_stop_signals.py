import os
import signal

import pytest

from telecine.local.stop_signals import StopRequestedError, StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_is_raised_once(number: signal.Signals) -> None:
    with StopSignals():
        with pytest.raises(StopRequestedError):
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)


def test_a_deferred_signal_is_raised_after_the_block() -> None:
    done = []
    with StopSignals() as signals:
        with pytest.raises(StopRequestedError), signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("block")
        assert done == ["block"]


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopSignals():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
