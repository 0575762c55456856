"""Draws the states of a video in docs/jobs.md from the code's table of transitions."""

import argparse
import sys
from pathlib import Path

from telecine.jobs.transitions import ABSENT, TRANSITIONS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "jobs.md"
BEGIN = "<!-- drawn by scripts/draw_states.py -->\n"
END = "<!-- end of drawing -->\n"


def draw() -> str:
    """Returns the table as a Mermaid state diagram."""
    arrows = [
        f"    {_node(transition.source)} --> {_node(transition.target)}: {transition.trigger}\n"
        for transition in TRANSITIONS
    ]
    return "".join(["```mermaid\n", "stateDiagram-v2\n", *arrows, "```\n"])


def redraw(page: str) -> str:
    """Returns the page with its drawing as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + draw() + END + after


def _node(state: str) -> str:
    return "[*]" if state == ABSENT else state


def main() -> int:
    """Redraws the page; with --check only says whether it is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if it is stale")
    page = PAGE.read_text()
    redrawn = redraw(page)
    if parser.parse_args().check:
        return int(page != redrawn)
    PAGE.write_text(redrawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
