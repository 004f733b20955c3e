"""What a config's `_component_` may name: a config is code, and this keeps it to the code that it is for.

A name begins with one of ALLOWED, and what it leads to is defined there as well: `kyvo.files.shutil.rmtree` is not.
Further beginnings come from the environment, which no config can set: `KYVO_ALLOW_COMPONENTS=my_package.`, several
with commas.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from kyvo.errors import ConfigError
from kyvo.extras import extra

with extra("train"):
    from torchtune.config._utils import _get_component_from_path

ALLOWED = ("kyvo.", "torch.optim.", "torchtune.", "torchao.optim.", "bitsandbytes.optim.")
VARIABLE = "KYVO_ALLOW_COMPONENTS"


def check_components(config: Mapping[str, Any]) -> None:
    """Raises ConfigError for a component outside of what is allowed. Only modules of what is allowed are imported."""
    allowed = (*ALLOWED, *(word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()))
    for place, name in _components(config, ""):
        if not isinstance(name, str) or not name.startswith(allowed):
            raise ConfigError(_refusal(place, name, allowed))
        if name.startswith(ALLOWED) and not name.startswith("bitsandbytes."):  # which need not be here for a check
            try:
                found = _get_component_from_path(name)
            except Exception as error:
                raise ConfigError(_refusal(place, f"{name}, which cannot be imported", allowed)) from error
            if not f"{getattr(found, '__module__', '')}.".startswith(allowed):
                raise ConfigError(_refusal(place, f"{name}, which is of {getattr(found, '__module__', None)}", allowed))


def _components(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{place}.{key}" if place else str(key)
            if key == "_component_":
                yield here, value
            else:
                yield from _components(value, here)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _components(value, f"{place}[{index}]")


def _refusal(place: str, name: Any, allowed: tuple[str, ...]) -> str:
    return (
        f"{place} is {name}; components are of {', '.join(word.rstrip('.') for word in allowed)}. A config runs what "
        f"it names: if you trust this one, set {VARIABLE} to the beginning of the name, such as my_package."
    )
