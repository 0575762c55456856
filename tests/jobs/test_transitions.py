"""The table of states, and what is drawn and generated from it."""

import draw_states
from telecine.jobs.function_library import library_source
from telecine.jobs.transitions import ABSENT, ENDED_STATES, TRANSITIONS, lua_table
from telecine.v1 import video_pb2


def test_drawing_in_the_docs_is_that_of_the_table() -> None:
    page = draw_states.PAGE.read_text()
    assert page == draw_states.redraw(page), "run scripts/draw_states.py"


def test_states_are_those_of_the_contract() -> None:
    names = {
        name.removeprefix("STATE_") for name in video_pb2.Video.State.DESCRIPTOR.values_by_name
    }
    used = {state for transition in TRANSITIONS for state in (transition.source, transition.target)}
    assert used - {ABSENT} == names - {"UNSPECIFIED"}


def test_an_ended_video_can_only_be_deleted() -> None:
    triggers = {t.trigger for t in TRANSITIONS if t.source in ENDED_STATES}
    assert triggers == {"delete"}


def test_one_trigger_has_one_outcome() -> None:
    causes = [(transition.source, transition.trigger) for transition in TRANSITIONS]
    assert len(causes) == len(set(causes))


def test_every_trigger_is_used_by_the_functions_which_hold_no_table_of_their_own() -> None:
    _, source = library_source()
    assert source.count(lua_table()) == 1
    functions = source.replace(lua_table(), "")
    for transition in TRANSITIONS:
        assert f'"{transition.trigger}"' in functions
    for transition in TRANSITIONS:
        assert f'"state", "{transition.target}"' not in functions
