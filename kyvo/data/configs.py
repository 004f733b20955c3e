"""`load_settings`: what a file of configs/data/ says, as the settings of a set.

Such a file names its `kind` and fields of that kind's settings. How many rows are made is said by who uses it, so that
one file makes a set of any size. Paths start from the working folder, as in a command.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml

from kyvo.data.dataset import SetSettings
from kyvo.data.generators import ClevrSet, EditSet, ObjaWorldSet, QuestionSet
from kyvo.data.imports import FolderSet, Omni3dSet, ReleaseSet
from kyvo.errors import ConfigError

KINDS = {
    owner.kind: owner for owner in (ClevrSet, EditSet, QuestionSet, ObjaWorldSet, FolderSet, Omni3dSet, ReleaseSet)
}

Section = TypeVar("Section")


def load_settings(path: Path, *, count: int | None = None) -> SetSettings:
    """The settings that a YAML file holds, for a set of `count` rows.

    Where files are read, the rows are their first samples, and without a count all of them; a set that is drawn needs
    one. Raises ConfigError for a file that does not parse, an unknown kind or setting, one that is missing or of
    another type, and more rows than there are samples; whatever the sources' readers raise is left as it is.
    """
    try:
        section = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: no YAML file that can be read: {error}") from error
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: no settings; it needs `kind: clevr` and the like, one a line.")
    kind = section.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{path}: kind is {kind!r}; {_advice(str(kind), KINDS)}")
    try:
        settings = from_section(KINDS[kind], section, count=count or 1)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    num_samples = _num_samples(settings)
    if num_samples is None and count is None:
        raise ConfigError(f"{path}: a set of the kind {kind} is drawn; say how many rows with --count.")
    if num_samples is not None and num_samples < (count or 0):
        raise ConfigError(f"{path}: its sources hold {num_samples:,} samples; --count can be no more.")
    return replace(settings, count=count or num_samples)


def _num_samples(settings: SetSettings) -> int | None:
    """How many samples the sources have; None for a set that is drawn."""
    match settings:
        case FolderSet():
            return FolderSet.of(Path(settings.folder), settings.schema).count
        case Omni3dSet():
            paths = Path(settings.annotations), Path(settings.pictures)
            return Omni3dSet.of(*paths, schema=settings.schema, flips=settings.flips, clamp=settings.clamp).count
        case ReleaseSet():
            return len(settings.source[1])
    return None


def from_section(owner: type[Section], section: Mapping[str, Any], *, prefix: str = "", **given: Any) -> Section:
    """A dataclass from a section of YAML; a field that is a dataclass itself is a section of its own.

    Args:
        owner: the dataclass.
        section: its fields by name.
        prefix: of names in messages: "rules.".
        given: fields that the section cannot set.

    Raises:
        ConfigError: a name is unknown or missing, or a value is of another type than the field's.
    """
    known = {entry.name: entry for entry in fields(owner) if entry.init and entry.name not in given}  # type: ignore[arg-type]
    for name in section:
        if name not in known:
            raise ConfigError(f"{prefix}{name} is not a setting; {_advice(str(name), known, prefix)}")
    for name, entry in known.items():
        if name not in section and entry.default is MISSING and entry.default_factory is MISSING:
            raise ConfigError(f"{prefix}{name} is missing; it has no default.")
    values = {name: _value(known[name], value, prefix + name) for name, value in section.items()}
    return owner(**values, **given)


def _value(entry: Field, value: Any, name: str) -> Any:
    if is_dataclass(entry.type) and isinstance(value, dict):
        return from_section(entry.type, value, prefix=f"{name}.")  # type: ignore[arg-type]
    kind: Any = tuple if get_origin(entry.type) is tuple else entry.type
    if kind is tuple and isinstance(value, list):  # YAML has no other
        value = tuple(value)
    # YAML's `1e3` is a string and `true` an int's subclass: both would only fail, or pass, much later.
    fits = isinstance(value, kind) or (isinstance(value, int) and kind is float)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{name} is {value!r}; it must be of type {getattr(kind, '__name__', kind)}.")
    return value


def _advice(name: str, known: Mapping[str, Any], prefix: str = "") -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean {prefix}{close[0]}?" if close else f"known are {', '.join(known)}."
