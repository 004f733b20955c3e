"""`Source`: how a recognised scene came about. The optional key `source` of scene JSON.

It stays with a scene that is edited: what was recognised is no surer then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kyvo.scene.scene import Scene

KEY = "source"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of the picture that a scene was recognised in."""

    in_domain: float | None = None  # how like it is to those that the model knows, in [0, 1]; None: not measured
    notes: tuple[str, ...] = ()  # what was done to it to fit the model's shape and brightness
    warnings: tuple[str, ...] = ()  # why the scene should not be relied on

    def to_json(self) -> dict[str, Any]:
        """What there is to say; empty where that is nothing."""
        data = {"in_domain": self.in_domain, "notes": list(self.notes), "warnings": list(self.warnings)}
        return {key: value for key, value in data.items() if value not in (None, [])}


def source_of(scene: Scene) -> Source:
    """That of a scene; an empty one where the key is missing, or a user's own that holds something else."""
    data = scene.extra.get(KEY)
    if not isinstance(data, Mapping):
        return Source()
    score, notes, warnings = (data.get(name) for name in ("in_domain", "notes", "warnings"))
    return Source(
        in_domain=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
        warnings=tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    )


def with_source(scene: Scene, source: Source) -> Scene:
    """The scene with this source, in place of an older one."""
    others = {key: value for key, value in scene.extra.items() if key != KEY}
    data = source.to_json()
    return replace(scene, extra={**others, KEY: data} if data else others)
