"""Whether a user's error is shown with its traceback: `kyvo --debug`, or KYVO_DEBUG=1 for programs that call it."""

import os
from collections.abc import Sequence

VARIABLE = "KYVO_DEBUG"


def debugging() -> bool:
    """Whether an error is to be raised as it is."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def take_debug(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--debug`, which may stand anywhere before `--`; where it stood, `debugging` is so."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [word for word in arguments[:end] if word != "--debug"]
    if len(rest) < end:
        os.environ[VARIABLE] = "1"
    return [*rest, *arguments[end:]]
