"""What differs between two scenes: objects added, removed, moved and changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.scene.scene import STANDARD_ATTRIBUTES, Scene, SceneObject, turn_error

WORDS = ("category", "shape", "size", "color", "material")
MAX_COMPARED = 2_000  # objects of a scene: the best assignment takes time with their cube
COMPARED = tuple(name for name in STANDARD_ATTRIBUTES if name not in ("location", "confidence"))


@dataclass(frozen=True, kw_only=True)
class Move:
    """An object that stands elsewhere: its index before and after, and how far it went in the scene's units."""

    before: int
    after: int
    distance: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """One attribute of an object that has another value."""

    before: int
    after: int
    attribute: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class SceneDiff:
    """Indices point into the scene before (`removed`, `before`) or after (`added`, `after`). False when both agree."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    moved: tuple[Move, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.moved or self.changed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def diff(before: Scene, after: Scene, *, reach: float = 1.0, tolerance: float = 1e-4) -> SceneDiff:
    """What happened between two scenes, by the assignment of objects that explains it with the least change.

    The cost of a pair is the share of its words (colour, shape, ...) that differ plus `distance / reach`, at most 1.
    A pair that costs more than 1 is an object that went and one that came. Turns (`rotation`) are compared modulo the
    shape's symmetry, where both have one. Confidences and unknown keys are not compared.

    Args:
        reach: the distance, in the scenes' units, that weighs as much as all words together.
        tolerance: numbers nearer than this are the same.

    Raises:
        SceneError: the scenes' frames, up axes or units differ.
    """
    from scipy.optimize import linear_sum_assignment  # here, so that importing kyvo.scene stays light

    for name in ("frame", "up_axis", "units"):
        if getattr(before, name) != getattr(after, name):
            raise SceneError(
                f"{name} is {getattr(before, name)!r} before and {getattr(after, name)!r} after; "
                "scenes are compared in one frame and unit."
            )
    if max(len(before), len(after)) > MAX_COMPARED:
        raise SceneError(
            f"the scenes have {len(before):,} and {len(after):,} objects; those of up to {MAX_COMPARED:,} are compared."
        )
    costs = _costs(before.objects, after.objects, reach)
    # 3 for a pair that is none: leaving a fitting pair unmatched never pays
    rows, columns = linear_sum_assignment(np.where(costs > 1, 3.0, costs))
    pairs = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if costs[i, j] <= 1]
    moved, changed = [], []
    for i, j in pairs:
        old, new = before.objects[i], after.objects[j]
        if old.location is not None and new.location is not None:
            distance = float(np.linalg.norm(np.subtract(old.location, new.location)))
            if distance > tolerance:
                moved.append(Move(before=i, after=j, distance=distance))
        elif old.location != new.location:
            changed.append(Change(before=i, after=j, attribute="location", old=old.location, new=new.location))
        for name in COMPARED:
            a, b = getattr(old, name), getattr(new, name)
            if not _same(a, b, tolerance):
                changed.append(Change(before=i, after=j, attribute=name, old=a, new=b))
        if (turn_error(old, new) or 0.0) > tolerance:
            changed.append(Change(before=i, after=j, attribute="rotation", old=old.turn, new=new.turn))
    matched_before, matched_after = {i for i, _ in pairs}, {j for _, j in pairs}
    return SceneDiff(
        added=tuple(j for j in range(len(after)) if j not in matched_after),
        removed=tuple(i for i in range(len(before)) if i not in matched_before),
        moved=tuple(moved),
        changed=tuple(changed),
    )


def _costs(old: Sequence[SceneObject], new: Sequence[SceneObject], reach: float) -> np.ndarray:
    """[old, new]: the share of words that differ, plus the distance where both have a place."""
    differing, named = np.zeros((2, len(old), len(new)))
    for name in WORDS:
        known: dict[Any, int] = {None: 0}
        ours, theirs = (
            np.array([known.setdefault(getattr(item, name), len(known)) for item in items], dtype=int)
            for items in (old, new)
        )
        differing += ours[:, None] != theirs
        named += (ours[:, None] > 0) | (theirs > 0)
    costs = differing / np.maximum(named, 1)
    ours, theirs = (
        np.array([item.location or (np.nan,) * 3 for item in items], dtype=float).reshape(-1, 3) for items in (old, new)
    )
    squares = sum((ours[:, None, axis] - theirs[:, axis]) ** 2 for axis in range(3))
    return costs + np.nan_to_num(np.minimum(np.sqrt(squares) / reach, 1.0))


def _same(old: Any, new: Any, tolerance: float) -> bool:
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        return all(abs(a - b) <= tolerance for a, b in zip(old, new, strict=True))
    return old == new
