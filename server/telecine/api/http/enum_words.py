"""Values of the contract's enums as the words that JSON has for them."""


def enum_word(name: str, prefix: str) -> str:
    """Returns a value's name in lower case and without its enum's prefix."""
    return name.removeprefix(prefix).lower()
