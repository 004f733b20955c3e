"""Numbers of an option, with commas between them."""

import math

from kyvo.errors import ConfigError

WORDS = {2: "two", 4: "four", 6: "six"}


def read_numbers(text: str, count: int, *, option: str, example: str) -> list[float]:
    """Raises ConfigError where they are not `count` finite numbers."""
    try:
        numbers = [float(value) for value in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} is {text!r}; it is {WORDS[count]} finite numbers, as {example}.")
    return numbers
