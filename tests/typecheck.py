"""What checks annotations under pytest: beartype, where an int does for a float as PEP 484 has it, and jaxtyping.

The import hook of jaxtyping (pyproject.toml) has its `jaxtyped` decorate every function and dataclass of the package:
shapes are bound and arguments checked twice at each call, whether or not an annotation has a shape, and the checks of
thousands of functions are written at import. Here each function gets its checks at its first call, and those of
jaxtyping only where an annotation has a shape. In one test a function is checked for its first `CALLS` calls: what is
called a hundred thousand times costs little.
"""

import dataclasses
from collections.abc import Callable
from functools import update_wrapper, wraps
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)
CALLS = 20
SHAPED = ("jaxtyping", "Float[", "Int[", "Int64[", "UInt8[", "Bool[", "Shaped[")  # in an annotation with a shape
jaxtyped = jaxtyping.jaxtyped
inner: set[CodeType] = set()  # of functions within functions: only the first of each is checked
spent: list["Checked"] = []  # those with no checked calls left in this test


class Checked:
    """A function, checked from its first call on. dill, by which `datasets` names results, sees the function alone."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.call = self.first_call
        self.calls_left = CALLS

    def first_call(self, *args: Any, **kwargs: Any) -> Any:
        self.call = with_checks(self.function)
        return self.call(*args, **kwargs)

    def count(self) -> None:
        self.calls_left -= 1
        if not self.calls_left:
            spent.append(self)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Callable[..., Any]]]:
        return plain, (self.function,)


def check_again() -> None:
    """Called between tests: all functions are checked again."""
    while spent:
        spent.pop().calls_left = CALLS


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """As a pickled function comes back: unchecked."""
    return function


def with_checks(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with beartype's checks; with jaxtyping's around them where an annotation has a shape."""
    resolved = with_resolved_annotations(function)
    shaped = any(name in repr(hint) for hint in resolved.__annotations__.values() for name in SHAPED)
    return jaxtyped(resolved, typechecker=beartype_check) if shaped else beartype_check(resolved)


def with_resolved_annotations(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy whose annotations in texts are what they name; Any, where only type checkers import that."""
    if not any("'" in repr(hint) for hint in function.__annotations__.values()):
        return function
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    update_wrapper(copy, function)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = {name: resolved(hint, function.__globals__) for name, hint in copy.__annotations__.items()}
    return copy


def resolved(hint: Any, names: dict[str, Any]) -> Any:
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"hint": hint}), names, include_extras=True)["hint"]
    except Exception:
        return Any


def beartype_check(function: Callable[..., Any]) -> Callable[..., Any]:
    return beartype(function, conf=CONF)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checked from its first call on."""
    if "<locals>" in function.__qualname__:
        if function.__code__ in inner:
            return function
        inner.add(function.__code__)
    state = Checked(function)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not state.calls_left:
            return function(*args, **kwargs)
        state.count()
        return state.call(*args, **kwargs)

    return checked


def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
    """What stands before each function and class of the package, in the place of jaxtyping's."""

    def decorate(what: Any) -> Any:
        if not isinstance(what, type):
            return check(what)
        if dataclasses.is_dataclass(what) and "__init__" in vars(what) and not hasattr(what.__init__, "__wrapped__"):
            what.__init__ = check(what.__init__)
        return what

    return decorate


jaxtyping.jaxtyped = decorator
