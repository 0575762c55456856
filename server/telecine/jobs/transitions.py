"""The only table of a video's states; the Redis functions are generated from it."""

from typing import NamedTuple

ABSENT = "ABSENT"  # not a state of a video: before it is submitted and after it is deleted
ENDED_STATES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


class Transition(NamedTuple):
    """A video in state `source` enters `target` when `trigger` happens.

    States are those of telecine.v1.Video.State without their prefix.
    """

    source: str
    trigger: str
    target: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition(ABSENT, "submit", "QUEUED"),
    Transition("QUEUED", "claim", "RUNNING"),
    Transition("QUEUED", "pause", "PAUSED"),
    Transition("QUEUED", "cancel", "CANCELLED"),
    Transition("QUEUED", "expire", "FAILED"),
    Transition("RUNNING", "complete", "SUCCEEDED"),
    Transition("RUNNING", "fail", "FAILED"),
    # CancelVideo and PauseVideo only ask; the worker that holds the video, or its lost lease,
    # does it.
    Transition("RUNNING", "acknowledge_cancel", "CANCELLED"),
    Transition("RUNNING", "acknowledge_pause", "PAUSED"),
    Transition("RUNNING", "requeue", "QUEUED"),
    Transition("RUNNING", "lose_lease", "QUEUED"),
    Transition("RUNNING", "abandon", "FAILED"),
    Transition("PAUSED", "resume", "QUEUED"),
    Transition("PAUSED", "cancel", "CANCELLED"),
    Transition("SUCCEEDED", "delete", ABSENT),
    Transition("FAILED", "delete", ABSENT),
    Transition("CANCELLED", "delete", ABSENT),
)


def lua_table() -> str:
    """Returns the table as Lua source: TRANSITIONS[source][trigger] is the target."""
    sources = sorted({transition.source for transition in TRANSITIONS})
    rows = [f"  {source} = {{ {_lua_row(source)} }}," for source in sources]
    return "\n".join(["local TRANSITIONS = {", *rows, "}"])


def _lua_row(source: str) -> str:
    return ", ".join(
        f'{transition.trigger} = "{transition.target}"'
        for transition in TRANSITIONS
        if transition.source == source
    )
