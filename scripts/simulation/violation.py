"""What a simulation raises when something happened that must not."""


class Violation(AssertionError):  # noqa: N818 - what is violated is no error of the simulation
    """An invariant does not hold."""


def require(holds: bool, otherwise: str) -> None:  # noqa: FBT001
    """Raises Violation with `otherwise` unless it holds."""
    if not holds:
        raise Violation(otherwise)
