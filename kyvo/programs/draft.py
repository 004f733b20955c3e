"""`Draft`: a scene while a step of an edit changes it, with notes on what follows from the changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kyvo.programs.descriptions import describe
from kyvo.programs.free_space import Group
from kyvo.programs.world import World
from kyvo.scene.scene import Scene, SceneObject


@dataclass(kw_only=True)
class Draft:
    """The objects after a step, and where each of them came from."""

    objects: list[SceneObject]
    origins: list[int | None]  # index in the scene before the step; None for a new object
    removed: set[int] = field(default_factory=set)  # indices before the step
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, scene: Scene) -> "Draft":
        return cls(objects=list(scene.objects), origins=list(range(len(scene))))

    def scene(self, before: Scene) -> Scene:
        return replace(before, objects=tuple(self.objects), image=None)

    def note_hanging(self, world: World, gone: Sequence[int]) -> None:
        """Says which objects stood on those that went, and hang in the air now."""
        scene = world.scene
        if any(item.location is None for item in scene.objects):
            return
        above = world.related("above")
        over = {int(i) for index in gone for i in np.flatnonzero(above[index])} - set(gone)
        for index in sorted(over):
            held = set(np.flatnonzero(world.related("below")[index]).tolist()) - set(gone)
            if not held:
                self.notes.append(f"{describe(scene, index)} stood on it and is left where it was")

    def note_growth(self, before: World, changed: Sequence[int]) -> None:
        """Says which objects a grown one meets that it did not meet before."""
        scene = replace(before.scene, objects=tuple(self.objects))
        world = World(scene, before.schema)
        placed = [index for index, item in enumerate(scene.objects) if item.location is not None]
        for index in set(changed) & set(placed):
            for other in placed:
                if other != index and world.apart(index, other) < -1e-3 <= before.apart(index, other):
                    self.notes.append(f"{describe(scene, index)} now meets {describe(scene, other)}")

    def note_guesses(self, group: Group) -> None:
        """Says so where the size of what was placed is a guess."""
        if not all(collider.is_known for collider in group.colliders):
            self.notes.append(f"how large {group.said} is, is not known; a radius of {group.radius:g} is taken")
