"""Names of version 0.1 that work until version 0.3: one table for each kind of name, old to new."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

SETTINGS = {  # of configs
    "train.start": "train.init_weights",
    "train.reading_weight": "train.auxiliary_weight",
    "checkpointer.start": "checkpointer.init_weights",
}
COMPONENTS = {  # of a config's `_component_`: packages, and what is in them
    "kyvo.train": "kyvo.training",
    "kyvo.training.data.CodedScenes": "kyvo.training.data.TokenizedScenes",
}
OPTIONS = {"--told": "--gt-camera", "--no-look": "--no-closed-loop"}  # of eval/suite.py
COMMANDS = {"people": "human-eval"}  # of `kyvo`
CHECKPOINT_KEYS = {"reading": "auxiliary"}  # of a training's state
LOG_NAMES = {"reading_loss": "auxiliary_loss"}  # of a training's log


def warn(old: str, new: str) -> None:
    """One line on stderr."""
    print(f"kyvo: {old} is now called {new}; the old name works until version 0.3.", file=sys.stderr)


def current_names(found: Mapping[str, Any], table: Mapping[str, str]) -> dict[str, Any]:
    """What a file of version 0.1 holds, under the names of today."""
    return {table.get(name, name): value for name, value in found.items()}


def current_settings(section: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """A config's section under the names of today, with a warning for each old name.

    Where both names are given, the old one is an override of the config's, and wins.
    """
    old = [name for name in section if f"{prefix}{name}" in SETTINGS]
    settings = {name: value for name, value in section.items() if name not in old}
    for name in old:
        new = SETTINGS[f"{prefix}{name}"]
        warn(f"{prefix}{name}", new)
        settings[new.removeprefix(prefix)] = section[name]
    return settings


def current_components(config: Any) -> Any:
    """A config, as plain dicts and lists, whose `_component_`s have the names of today."""
    if isinstance(config, list):
        return [current_components(item) for item in config]
    if not isinstance(config, dict):
        return config
    return {
        name: _component(item) if name == "_component_" else current_components(item) for name, item in config.items()
    }


def current_options(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with the options of today."""
    for old in OPTIONS.keys() & set(arguments):
        warn(old, OPTIONS[old])
    return [OPTIONS.get(word, word) for word in arguments]


def _component(path: Any) -> Any:
    current = path
    for old, new in COMPONENTS.items():
        if isinstance(path, str) and f"{current}.".startswith(f"{old}."):
            current = new + current.removeprefix(old)
    if current != path:
        warn(path, current)
    return current
