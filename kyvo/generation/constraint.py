"""`Constraint`: which ids may come next, from the schema and the task. It knows nothing of models.

A constraint is a finite automaton over ids, unrolled: every path through it is an output that parses, and every path
ends. Where only one id may come the id is *forced*, so a decoder appends it without asking the model.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from kyvo.errors import TokenError
from kyvo.scene.schema import Field
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import Segment, Task
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, SCENE_END, SCENE_START, TEXT_END

MAX_OBJECTS = 16  # CLEVR has at most 10
MAX_TEXT = 64  # text ids in an answer


class Constraint:
    """A finite automaton whose states are integers: `START`, ..., `end`."""

    START = 0

    def __init__(self) -> None:
        self._edges: list[list[tuple[Sequence[int], int]]] = [[]]  # state -> (ids, next state)
        self.limits: set[int] = set()  # states where something is closed because it reached its limit
        self.numbers: set[int] = set()  # states where a number comes next; `allowed` has them in rising order
        self.codes: set[int] = set()  # states where an image code comes next; `allowed` has all of them, in order
        self.end = self.START
        self._closers: set[int] = set()  # ids that end a scene or a text
        self._segment: Segment | None = None  # of the states being made
        self._segments: list[Segment | None] = [None]  # of each state

    @classmethod
    def for_task(
        cls, task: Task, builder: SequenceBuilder, *, max_objects: int = MAX_OBJECTS, max_text: int = MAX_TEXT
    ) -> "Constraint":
        """The outputs of `task`, from the id after [OUTPUT-START] to EOS."""
        constraint = cls()
        constraint._closers = {builder.vocabulary.marker_id(marker) for marker in (SCENE_END, TEXT_END)}
        state = cls.START
        for segment in task.outputs:
            constraint._segment = segment
            if segment is Segment.SCENE:
                state = constraint._add_scene(state, builder, max_objects)
            elif segment is Segment.IMAGE:
                state = constraint._add_image(state, builder)
            else:
                state = constraint._add_text(state, builder, max_text)
        constraint.end = constraint._add(state, [builder.text.eos_id])
        return constraint

    def allowed(self, state: int) -> np.ndarray:
        """The ids that may come next: int64, ascending within each alternative. Empty at the end."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *(np.asarray(ids) for ids, _ in self._edges[state])])

    def edges(self, state: int) -> list[tuple[Sequence[int], int]]:
        """The alternatives after a state: the ids of each, and the state it leads to."""
        return self._edges[state]

    def forced(self, state: int) -> int | None:
        """The one id that may come next, or None where there is a choice (or the end)."""
        edges = self._edges[state]
        return edges[0][0][0] if len(edges) == 1 and len(edges[0][0]) == 1 else None

    def step(self, state: int, token: int) -> int:
        """The state after `token`. Raises TokenError for an id that may not come."""
        for ids, target in self._edges[state]:
            if token in ids:
                return target
        raise TokenError(f"id {token} may not come here; {len(self.allowed(state))} others may.")

    def segment(self, state: int) -> Segment | None:
        """What the id that comes after `state` is part of; None for what opens or ends the whole."""
        return self._segments[state]

    def closing(self, state: int) -> list[int] | None:
        """The ids that end the output here without adding to it; None where something is begun that needs more:
        inside an object or a picture, and before the first piece of a text."""
        ids: list[int] = []
        while state != self.end:
            edges = [edge for edge in self._edges[state] if len(edge[0]) == 1]
            if len(self._edges[state]) > 1:
                edges = [edge for edge in edges if edge[0][0] in self._closers]
            if not edges:
                return None
            ids.append(edges[0][0][0])
            state = edges[0][1]
        return ids

    def accepts(self, ids: Iterable[int]) -> bool:
        """Whether `ids` is a complete output."""
        state = self.START
        try:
            for token in ids:
                state = self.step(state, int(token))
        except TokenError:
            return False
        return state == self.end

    def _new(self) -> int:
        self._edges.append([])
        self._segments.append(self._segment)
        return len(self._edges) - 1

    def _add(self, state: int, ids: Sequence[int], target: int | None = None) -> int:
        """An edge over `ids` to `target`, by default a new state; returns the target."""
        target = self._new() if target is None else target
        self._edges[state].append((ids, target))
        return target

    def _add_image(self, state: int, builder: SequenceBuilder) -> int:
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.IMAGE])
        rows, columns = builder.image_grid
        state = self._add(state, [start])
        for _ in range(rows * columns):
            self.codes.add(state)
            state = self._add(state, builder.vocabulary.ranges["image"])
        return self._add(state, [end])

    def _add_text(self, state: int, builder: SequenceBuilder, max_text: int) -> int:
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.TEXT])
        state = self._add(self._add(state, [start]), builder.text.plain)  # at least one piece
        closed = self._new()
        for _ in range(max_text - 1):
            self._add(state, [end], closed)
            state = self._add(state, builder.text.plain)
        self.limits.add(state)
        return self._add(state, [end], closed)

    def _add_scene(self, state: int, builder: SequenceBuilder, max_objects: int) -> int:
        marker = builder.vocabulary.marker_id
        state = self._add(state, [marker(SCENE_START)])
        closed = self._new()
        for _ in range(max_objects):
            self._add(state, [marker(SCENE_END)], closed)
            state = self._add(state, [marker(OBJECT_START)])
            for field in builder.scenes.schema.fields:
                state = self._add(state, [marker(field.marker)])
                state = self._add_value(state, field, builder)
            state = self._add(state, [marker(OBJECT_END)])
        self.limits.add(state)
        return self._add(state, [marker(SCENE_END)], closed)

    def _add_value(self, state: int, field: Field, builder: SequenceBuilder) -> int:
        vocabulary = builder.vocabulary
        if field.words:
            return self._add_words(state, tuple(builder.scenes.word_ids[field.name].values()))
        for axis in field.axes:
            self.numbers.add(state)
            state = self._add(state, [vocabulary.number_id(value) for value in axis.values])
        for _ in range(field.num_codes):
            state = self._add(state, vocabulary.ranges["shape"])
        return state

    def _add_words(self, state: int, spellings: tuple[tuple[int, ...], ...]) -> int:
        """A tree of the spellings; all its leaves are one state. No spelling may begin another."""
        leaf = self._new()

        def grow(node: int, tails: list[tuple[int, ...]]) -> None:
            for first in dict.fromkeys(tail[0] for tail in tails):
                rest = [tail[1:] for tail in tails if tail[0] == first]
                if all(rest):
                    grow(self._add(node, [first]), rest)
                elif len(rest) == 1:
                    self._add(node, [first], leaf)
                else:
                    raise TokenError(f"a word is the beginning of another in the text ids {spellings}; rename one.")

        grow(state, list(spellings))
        # Last words of a length of one share an edge, so that a choice among words is one edge.
        ends = [ids[0] for ids, target in self._edges[state] if target == leaf]
        self._edges[state] = [edge for edge in self._edges[state] if edge[1] != leaf] + ([(ends, leaf)] if ends else [])
        return leaf
