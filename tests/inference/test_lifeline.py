"""A lifeline is cut when the process that held on to it lets go, however that comes."""

import json
import signal
import subprocess
import sys

import pytest

from telecine.inference.lifeline import PARAMETER, Lifeline, held

HOLDER = """
import sys, time
from telecine.inference.lifeline import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def parameters(lifeline: Lifeline) -> str:
    return json.dumps({PARAMETER: lifeline.name})


def test_lifeline_of_a_killed_process_is_cut() -> None:
    with Lifeline() as lifeline:
        command = [sys.executable, "-c", HOLDER, parameters(lifeline)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert not lifeline.is_cut()
            process.send_signal(signal.SIGSTOP)
            assert not lifeline.is_cut()
            process.kill()
            process.wait()
            assert lifeline.is_cut()


def test_lifeline_that_nobody_took_yet_is_not_cut() -> None:
    with Lifeline() as lifeline:
        assert not lifeline.is_cut()
        with held(parameters(lifeline)):
            assert not lifeline.is_cut()
        assert lifeline.is_cut()


@pytest.mark.parametrize(
    "parameters", ["", "{}", '{"lifeline": "telecine_client_gone"}', '{"lifeline": "/etc/passwd"}']
)
def test_request_whose_lifeline_cannot_be_held_is_served(parameters: str) -> None:
    with held(parameters):
        pass
