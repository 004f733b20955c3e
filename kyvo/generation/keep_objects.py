"""`KeepObjectsConstraint`: outputs whose scene keeps all objects of a given one and adds a number of others.

The scene written is a walk over the given objects p1 ... pn, in their order. At the boundary before p(i+1), with
`added` counted so far, three things may come:

    copy    p(i+1), id by id                       -> i+1
    write   any object of the schema, or of a form -> i,   added+1     where added < num_added
    close   [SCENE-END]                            when i = n and added = num_added

An object that changes is so one left out of the given scene and one written, wherever the schema's order puts it. Copy
and write begin with the same ids, so which of them a walk is on shows only later: states are sets of places in this
automaton (the subset construction of Rabin and Scott, 1959), made as they are reached. Every walk ends.
"""

from collections.abc import Sequence

import numpy as np

from kyvo.errors import TokenError
from kyvo.generation.constraint import Constraint
from kyvo.scene.scene import Scene
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import Segment, Task
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, SCENE_END

Places = frozenset[int]  # of the automaton that is not deterministic
Form = Sequence[Sequence[int]]  # of an object: the ids that may stand at each of its places


class KeepObjectsConstraint(Constraint):
    """Which ids may come next where all objects of a scene stay as they are."""

    def __init__(
        self, task: Task, builder: SequenceBuilder, scene: Scene, *, num_added: int = 0, written: Form | None = None
    ) -> None:
        """Raises SceneError for a scene that the schema cannot hold.

        Args:
            task: one that gives a scene and, if anything else, a picture.
            scene: the given one.
            num_added: how many others there are.
            written: the form of these; by default they may be any of the schema.
        """
        super().__init__()
        self._plain = Constraint()  # places and edges over ids; `_passes` are its edges over nothing
        self._passes: dict[int, list[int]] = {}
        objects = object_ids(builder, scene)
        place = Constraint.START
        for segment in task.outputs:
            self._plain._segment = segment
            if segment is Segment.SCENE:
                place = self._add_kept(place, builder, objects, num_added, written)
            else:
                assert segment is Segment.IMAGE, "no task gives a scene with a text"
                place = self._plain._add_image(place, builder)
        last = self._plain._add(place, [builder.text.eos_id])
        self._closers = {builder.vocabulary.marker_id(SCENE_END)}
        self._sets: list[Places] = []
        self._states: dict[Places, int] = {}
        self._allowed: dict[int, np.ndarray] = {}
        assert self._state({Constraint.START}) == self.START
        self.end = self._state({last})

    def allowed(self, state: int) -> np.ndarray:
        """The ids that may come next: int64, ascending. Empty at the end."""
        if state not in self._allowed:
            ids = [self._plain.allowed(place) for place in self._sets[state]]
            self._allowed[state] = np.unique(np.concatenate(ids))
        return self._allowed[state]

    def forced(self, state: int) -> int | None:
        """The one id that may come next, or None where there is a choice (or the end)."""
        ids = self.allowed(state)
        return int(ids[0]) if len(ids) == 1 else None

    def step(self, state: int, token: int) -> int:
        """The state after `token`. Raises TokenError for an id that may not come."""
        places = {target for place in self._sets[state] for ids, target in self._plain._edges[place] if token in ids}
        if not places:
            raise TokenError(f"id {token} may not come here; {len(self.allowed(state))} others may.")
        return self._state(places)

    def segment(self, state: int) -> Segment | None:
        """What the id that comes after `state` is part of."""
        return self._plain.segment(min(self._sets[state]))

    def closing(self, state: int) -> list[int] | None:
        """The ids that end the output here: those that are forced, pinned objects among them, and what closes the
        scene; None where anything has to be chosen."""
        ids: list[int] = []
        while state != self.end:
            token = self.forced(state)
            if token is None:
                token = next((token for token in self.allowed(state).tolist() if token in self._closers), None)
            if token is None:
                return None
            ids.append(token)
            state = self.step(state, token)
        return ids

    def _state(self, places: set[int]) -> int:
        """The state of these places and of those reached from them over nothing."""
        waiting = list(places)
        while waiting:
            for target in self._passes.get(waiting.pop(), ()):
                if target not in places:
                    places.add(target)
                    waiting.append(target)
        key = frozenset(place for place in places if self._plain._edges[place]) or frozenset(places)
        if key not in self._states:
            self._states[key] = len(self._sets)
            self._sets.append(key)
            # Where a copy may go on, its number is told from its neighbours: that of a new object is as good as they.
            if key <= self._plain.numbers:
                self.numbers.add(self._states[key])
            if key <= self._plain.codes:
                self.codes.add(self._states[key])
        return self._states[key]

    def _add_kept(
        self, place: int, builder: SequenceBuilder, objects: list[list[int]], num_added: int, written: Form | None
    ) -> int:
        plain, passes = self._plain, self._passes
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.SCENE])
        place = plain._add(place, [start])
        before = {
            (index, added): plain._new() for index in range(len(objects) + 1) for added in range(num_added + 1)
        }  # the boundary before object `index`
        passes[place] = [before[0, 0]]
        for (index, added), here in before.items():
            if added < num_added:
                last = self._add_any(here, builder) if written is None else self._add_form(here, builder, written)
                passes[last] = [before[index, added + 1]]
            if index < len(objects):
                *first, last = objects[index]
                step = here
                for token in first:
                    step = plain._add(step, [token])
                plain._add(step, [last], before[index + 1, added])
        return plain._add(before[len(objects), num_added], [end])

    def _add_any(self, place: int, builder: SequenceBuilder) -> int:
        marker = builder.vocabulary.marker_id
        place = self._plain._add(place, [marker(OBJECT_START)])
        for field in builder.scenes.schema.fields:
            place = self._plain._add(place, [marker(field.marker)])
            place = self._plain._add_value(place, field, builder)
        return self._plain._add(place, [marker(OBJECT_END)])

    def _add_form(self, place: int, builder: SequenceBuilder, form: Form) -> int:
        for ids in form:
            if len(ids) > 1 and ids[0] in builder.vocabulary.ranges["number"]:
                self._plain.numbers.add(place)
            place = self._plain._add(place, ids)
        return place


def object_ids(builder: SequenceBuilder, scene: Scene) -> list[list[int]]:
    """The ids of each object, in the schema's order."""
    end = builder.vocabulary.marker_id(OBJECT_END)
    objects: list[list[int]] = [[]]
    for token in builder.scenes.encode(scene)[1:-1]:
        objects[-1].append(token)
        if token == end:
            objects.append([])
    return objects[:-1]
