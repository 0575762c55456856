"""Where commands write: what they tell goes to standard error, what they answer to output."""

from rich.console import Console

# Standard output carries results alone, so that a script can read them.
console = Console(stderr=True)
output = Console()
