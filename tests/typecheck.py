"""What checks annotations under pytest: beartype, where an int does for a float as PEP 484 has it.

beartype writes a checking function for every function that it is given. For the whole package that takes longer than
most files of tests run, and a process calls few of its functions: each is given at its first call.
"""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    checking = None

    def checked(*args: Any, **kwargs: Any) -> Any:
        nonlocal checking
        if checking is None:
            checking = beartype(function, conf=CONF)
        return checking(*args, **kwargs)

    return checked
