"""Shapes of new objects, in schemas that have them: what an edit asks of whoever can make one."""

from collections.abc import Callable
from dataclasses import dataclass

from kyvo.scene.scene import Vector


@dataclass(frozen=True, kw_only=True)
class NewShape:
    """One object's shape."""

    codes: tuple[int, ...]
    extents: Vector  # width, height, length in parts of the longest of them, as of `SceneObject.dimensions`
    notes: tuple[str, ...] = ()  # what to know of it, in words


ShapeMaker = Callable[[str], NewShape]  # of a description: "a red wooden chair"
