"""What checks annotations under pytest: beartype, where an int does for a float as PEP 484 has it.

beartype writes a checking function for every function that it is given. For the whole package that takes longer than
most files of tests run, and a process calls few of its functions: each is given at its first call.
"""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)


class Checked:
    """A function, checked from its first call on. dill, by which `datasets` names results, sees the function alone."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.checking: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.checking is None:
            self.checking = beartype(self.function, conf=CONF)
        return self.checking(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Callable[..., Any]]]:
        return plain, (self.function,)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """As a pickled function comes back: unchecked."""
    return function


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    call = Checked(function)

    def checked(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    return checked
