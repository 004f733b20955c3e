"""`Results`: what one evaluation found, under which protocol, from which files; its JSON; its confidence intervals.

Each figure carries a 95 % interval: the percentile bootstrap over items (scenes, pictures, questions), seeded. Every
item keeps its score and its matches, so that a figure can be looked into; every item that was left out is listed.
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import kyvo
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.files import non_finite, read_json

FORMAT = "kyvo-results"
VERSION = 1
RESAMPLES = 1000
LEVEL = (2.5, 97.5)  # percentiles: the 95 % interval
Z = 1.959964  # of the normal distribution, at LEVEL


def program_versions() -> dict[str, str]:
    """The programs that a figure may depend on."""
    found = {name: version(name) for name in ("numpy", "scipy")}
    return {"kyvo": kyvo.__version__, "python": platform.python_version(), **found}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of a table, with its 95 % bootstrap interval over `count` items; None where no item informs it."""

    name: str  # "jaccard", "jaccard at 0.05"
    value: float | None
    low: float | None = None
    high: float | None = None
    count: int = 0

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise SceneError(f"figure {self.name!r}: {name} is {number}; a finite number or None is needed.")


@dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation, whole: enough to print it, to draw it and to compare it with another."""

    kind: str  # "scenes", "boxes", "answers", "pictures", "geometry"
    protocol: Mapping[str, Any]  # every choice that changes a figure; two results join in one table where it is equal
    figures: Sequence[Figure]
    versions: Mapping[str, str] = field(default_factory=program_versions)
    inputs: Mapping[str, Any] = field(default_factory=dict)  # role -> name, sha256, items
    tables: Mapping[str, Any] = field(default_factory=dict)  # by tau, confusion matrices, per family
    items: Sequence[Mapping[str, Any]] = ()  # key, score, and of scenes pairs, misses, extras
    excluded: Sequence[Mapping[str, str]] = ()  # key, reason

    def figure(self, name: str) -> Figure:
        """The figure called `name`. Raises ConfigError where there is none."""
        for found in self.figures:
            if found.name == name:
                return found
        raise ConfigError(f"no figure is called {name!r}; there are {', '.join(f.name for f in self.figures)}.")

    def to_json(self) -> dict[str, Any]:
        """The file's content as plain data."""
        return {"format": FORMAT, "version": VERSION, **json.loads(json.dumps(asdict(self)))}

    @classmethod
    def from_json(cls, data: Any, where: str = "results") -> "Results":
        """Inverse of `to_json`. Raises SceneError for what is no result file of ours."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise SceneError(f"{where}: no result file; `kyvo evaluate ... --out results.json` writes one.")
        if data.get("version") != VERSION:
            raise SceneError(f"{where}: version is {data.get('version')!r}; this Kyvo reads {VERSION}.")
        names = {entry.name for entry in fields(cls)}
        if names - data.keys():
            raise SceneError(f"{where}: {', '.join(sorted(names - data.keys()))} missing; the file is not whole.")
        values: dict[str, Any] = {name: data[name] for name in names}
        try:
            values["figures"] = tuple(Figure(**row) for row in data["figures"])
        except TypeError as error:
            raise SceneError(f"{where}: figures: {error}.") from error
        return cls(**values)


def save_results(results: Results, path: str | Path) -> None:
    """Writes the result file, an item a line; an interrupted write leaves the file that was there.

    Raises SceneError where it cannot be written or a number in it is not finite.
    """
    path, data = Path(path), results.to_json()
    for place in non_finite(data):
        raise SceneError(f"{path}: {place} is not finite; a finite number or null is needed.")
    lists = {name: data.pop(name) for name in ("items", "excluded")}
    head = json.dumps(data, indent=1, ensure_ascii=False).removesuffix("\n}")
    parts = [f'"{name}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for name, rows in lists.items()]
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(",\n ".join([head, *parts]) + "\n}\n", encoding="utf-8", errors="backslashreplace")
        os.replace(draft, path)
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror}).") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def load_results(path: str | Path) -> Results:
    """Reads a result file. Raises SceneError where it is none."""
    return Results.from_json(read_json(path), str(path))


def bootstrap(
    values: Sequence[float] | np.ndarray,
    seed: int,
    *,
    weights: Sequence[float] | np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of the items' mean under resampling of items; (None, None) without items.

    Args:
        values: one number an item.
        seed: of the generator.
        weights: makes it the weighted mean, as of a share over all pairs where an item has several.
        resamples: how often the items are drawn anew.
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    if not weights.sum():
        return None, None
    generator = np.random.default_rng(seed)
    means = np.full(resamples, np.nan)
    for index in range(resamples):
        drawn = generator.integers(len(values), size=len(values))
        mass = weights[drawn].sum()
        if mass:
            means[index] = (weights[drawn] * values[drawn]).sum() / mass
    low, high = np.nanpercentile(means, LEVEL)
    return float(low), float(high)


def mean_figure(
    name: str,
    values: Sequence[float] | np.ndarray,
    *,
    seed: int,
    weights: Sequence[float] | np.ndarray | None = None,
) -> Figure:
    """The (weighted) mean over items as a figure with its interval."""
    values = np.asarray(values, dtype=float)
    if not len(values) or (weights is not None and not np.sum(weights)):
        return Figure(name=name, value=None, count=len(values))
    low, high = bootstrap(values, seed, weights=weights)
    return Figure(name=name, value=float(np.average(values, weights=weights)), low=low, high=high, count=len(values))


def share_figure(name: str, right: Sequence[bool] | np.ndarray, *, groups: Sequence[Any], seed: int) -> Figure:
    """The share of what is right, with an interval for items that come in groups, as the questions about one picture.

    The bootstrap draws whole groups. Where all or none are right it has no width, so Wilson's interval over the groups
    stands there (https://doi.org/10.1080/01621459.1927.10502953).
    """
    right = np.asarray(right, dtype=float)
    if not len(right):
        return Figure(name=name, value=None)
    _, group = np.unique(np.asarray(list(map(str, groups))), return_inverse=True)
    sizes = np.bincount(group)
    value = float(right.mean())
    if value in (0.0, 1.0):
        reach = Z**2 / (len(sizes) + Z**2)
        low, high = (0.0, reach) if value == 0 else (1.0 - reach, 1.0)
    else:
        low, high = bootstrap(np.bincount(group, right) / sizes, seed, weights=sizes)
    return Figure(name=name, value=value, low=low, high=high, count=len(right))


def side_by_side(results: Mapping[str, Results]) -> dict[str, dict[str, Figure]]:
    """One table of several results: figure's name -> label -> figure.

    Raises:
        ConfigError: two of them have another kind or protocol, so that their figures do not compare.
    """
    (first, *others) = results
    for label in others:
        ours, theirs = results[first], results[label]
        if ours.kind != theirs.kind:
            raise ConfigError(f"{first} holds {ours.kind} and {label} {theirs.kind}; a table takes one kind.")
        keys = sorted(ours.protocol.keys() | theirs.protocol.keys())
        apart = [key for key in keys if _plain(ours.protocol.get(key)) != _plain(theirs.protocol.get(key))]
        if apart:
            said = "; ".join(f"{key}: {ours.protocol.get(key)} and {theirs.protocol.get(key)}" for key in apart)
            raise ConfigError(
                f"{first} and {label} follow different protocols ({said}), so their figures do not compare. "
                "Evaluate both in the same way, or make a table of each."
            )
    table: dict[str, dict[str, Figure]] = {}
    for label, result in results.items():
        for figure in result.figures:
            table.setdefault(figure.name, {})[label] = figure
    return table


def _plain(value: Any) -> Any:
    """As it comes back from a file: tuples are lists there, and keys are texts."""
    return json.loads(json.dumps(value))
