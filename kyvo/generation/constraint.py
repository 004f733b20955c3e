"""`Constraint`: which ids may come next, from the schema and the task. It knows nothing of models.

A constraint is a finite automaton over ids, unrolled: every path through it is an output that parses, and every path
ends. Where only one id may come the id is *forced*, so a decoder appends it without asking the model.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kyvo.errors import TokenError
from kyvo.programs.tokens import State
from kyvo.scene.fields import Axis, Field
from kyvo.scene.schema import CAMERA
from kyvo.tokenizers.programs import ProgramTokenizer
from kyvo.tokenizers.scene import ALL_PARTS, OptionalParts
from kyvo.tokenizers.sequence import MARKERS, SequenceBuilder
from kyvo.tokenizers.tasks import Segment, Task
from kyvo.tokenizers.vocabulary import OBJECT_END, OBJECT_START, PROGRAM_END, SCENE_END, SCENE_START, TEXT_END

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
        self._closers: set[int] = set()  # ids that end a scene, a text or a program
        # Programs are too many to be unrolled: where one is being written, its grammar says how it may go on.
        self._programs: ProgramTokenizer | None = None
        self._written: dict[int, State] = {}  # state -> the grammar's
        self._steps: dict[tuple[int, int], int] = {}  # of such states, as far as they were taken
        self._closed = self.START  # after a program
        self._close = 0  # the id that ends one
        self._segment: Segment | None = None  # of the states being made
        self._segments: list[Segment | None] = [None]  # of each state

    @classmethod
    def for_task(
        cls,
        task: Task,
        builder: SequenceBuilder,
        *,
        max_objects: int = MAX_OBJECTS,
        max_text: int = MAX_TEXT,
        optional: OptionalParts = ALL_PARTS,
    ) -> "Constraint":
        """The outputs of `task`, from the id after [OUTPUT-START] to EOS. Scenes have the parts that `optional`
        asks for, each of them, and no others."""
        constraint = cls()
        closers = (SCENE_END, TEXT_END, *([PROGRAM_END] if builder.programs else []))
        constraint._closers = {builder.vocabulary.marker_id(marker) for marker in closers}
        state = cls.START
        for segment in task.outputs:
            constraint._segment = segment
            if segment is Segment.SCENE:
                state = constraint._add_scene(state, builder, max_objects, optional)
            elif segment is Segment.IMAGE:
                state = constraint._add_image(state, builder)
            elif segment is Segment.PROGRAM:
                state = constraint._add_program(state, builder)
            else:
                state = constraint._add_text(state, builder, max_text)
        constraint.end = constraint._add(state, [builder.text.eos_id])
        return constraint

    def allowed(self, state: int) -> np.ndarray:
        """The ids that may come next: int64, ascending within each alternative. Empty at the end."""
        written = [np.asarray(self._next(state), dtype=np.int64)] if state in self._written else []
        fixed = (np.asarray(ids) for ids, _ in self._edges[state])
        return np.concatenate([np.zeros(0, dtype=np.int64), *written, *fixed])

    def edges(self, state: int) -> list[tuple[Sequence[int], int]]:
        """The alternatives after a state: the ids of each, and the state it leads to.

        Raises TokenError inside a program, whose ways on are too many to be listed.
        """
        if state in self._written:
            raise TokenError("the ways that a program can go on are too many to be listed; ask `allowed`.")
        return self._edges[state]

    def forced(self, state: int) -> int | None:
        """The one id that may come next, or None where there is a choice (or the end)."""
        edges = self._edges[state]
        if state in self._written:
            allowed = self.allowed(state)
            return int(allowed[0]) if len(allowed) == 1 else None
        return edges[0][0][0] if len(edges) == 1 and len(edges[0][0]) == 1 else None

    def step(self, state: int, token: int) -> int:
        """The state after `token`. Raises TokenError for an id that may not come."""
        for ids, target in self._edges[state]:
            if token in ids:
                return target
        if state in self._written and token in self._next(state):
            return self._write(state, token)
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

    def _add_program(self, state: int, builder: SequenceBuilder) -> int:
        self._programs = builder.need_programs()
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.PROGRAM])
        state = self._add(state, [start])
        self._close, self._closed = end, self._new()
        self._written[state] = self._programs.start()
        return self._add(state, [end], self._closed)  # what asks nothing

    def _next(self, state: int) -> list[int]:
        """The ids of a program that may come next."""
        assert self._programs is not None
        return self._programs.allowed(self._written[state])

    def _write(self, state: int, token: int) -> int:
        """The state after one more id of a program."""
        if (state, token) not in self._steps:
            assert self._programs is not None
            after = self._programs.step(self._written[state], token)
            self._segment = Segment.PROGRAM
            target = self._steps[state, token] = self._new()
            if after.is_done:
                self._add(target, [self._close], self._closed)
            else:
                self._written[target] = after
        return self._steps[state, token]

    def _add_text(self, state: int, builder: SequenceBuilder, max_text: int) -> int:
        start, end = (builder.vocabulary.marker_id(marker) for marker in MARKERS[Segment.TEXT])
        state = self._add(self._add(state, [start]), builder.text.plain)  # at least one piece
        closed = self._new()
        for _ in range(max_text - 1):
            self._add(state, [end], closed)
            state = self._add(state, builder.text.plain)
        self.limits.add(state)
        return self._add(state, [end], closed)

    def _add_scene(self, state: int, builder: SequenceBuilder, max_objects: int, optional: OptionalParts) -> int:
        marker = builder.vocabulary.marker_id
        state = self._add(state, [marker(SCENE_START)])
        if optional.camera and builder.scenes.schema.camera:
            state = self._add_camera(state, builder, optional)
        closed = self._new()
        for _ in range(max_objects):
            self._add(state, [marker(SCENE_END)], closed)
            state = self._add(state, [marker(OBJECT_START)])
            fields = optional.fields(builder.scenes.schema)
            for field, after in zip(fields, (*fields[1:], None), strict=True):
                if field.of:
                    continue  # added with the field before it
                state = self._add(state, [marker(field.marker)])
                if after is not None and after.of:
                    state = self._add_pair(state, field, after, builder)
                else:
                    state = self._add_value(state, field, builder)
            state = self._add(state, [marker(OBJECT_END)])
        self.limits.add(state)
        return self._add(state, [marker(SCENE_END)], closed)

    def _add_camera(self, state: int, builder: SequenceBuilder, optional: OptionalParts) -> int:
        """A header: of the camera that `optional` gives, or of any."""
        if not isinstance(optional.camera, bool):
            for token in builder.scenes.encode_camera(optional.camera):
                state = self._add(state, [token])
            return state
        state = self._add(state, [builder.vocabulary.marker_id(CAMERA)])
        return self._add_numbers(state, builder.scenes.schema.camera, builder)

    def _add_pair(self, state: int, field: Field, after: Field, builder: SequenceBuilder) -> int:
        """A word, and the field that follows some of its words alone."""
        having, joined = self._new(), self._new()
        words = builder.scenes.word_ids[field.name].items()
        self._add_tree(state, {ids: having if word in after.of else joined for word, ids in words})
        value = self._add(having, [builder.vocabulary.marker_id(after.marker)])
        return self._add_value(value, after, builder, joined)

    def _add_numbers(
        self, state: int, axes: Sequence[Axis], builder: SequenceBuilder, target: int | None = None
    ) -> int:
        for axis in axes:
            self.numbers.add(state)
            ids = [builder.vocabulary.number_id(value) for value in axis.values]
            state = self._add(state, ids, target if axis is axes[-1] else None)
        return state

    def _add_value(self, state: int, field: Field, builder: SequenceBuilder, target: int | None = None) -> int:
        """The value of a field; it leads to `target`, by default a new state."""
        vocabulary = builder.vocabulary
        if field.words:
            return self._add_words(state, builder.scenes.word_ids[field.name].values(), target)
        if field.axes:
            return self._add_numbers(state, field.axes, builder, target)
        for _ in range(field.num_codes):
            state = self._add(state, vocabulary.ranges["shape"])
        return state

    def _add_words(self, state: int, spellings: Iterable[tuple[int, ...]], target: int | None = None) -> int:
        """A tree of the spellings; all its leaves are one state. No spelling may begin another."""
        leaf = self._new() if target is None else target
        self._add_tree(state, dict.fromkeys(spellings, leaf))
        return leaf

    def _add_tree(self, state: int, leaves: Mapping[tuple[int, ...], int]) -> None:
        """A tree of spellings, each of which leads to a state of its own or shared ones."""

        def grow(node: int, tails: dict[tuple[int, ...], int]) -> None:
            for first in dict.fromkeys(tail[0] for tail in tails):
                rest = {tail[1:]: leaf for tail, leaf in tails.items() if tail[0] == first}
                if all(rest):
                    grow(self._add(node, [first]), rest)
                elif len(rest) == 1:
                    self._add(node, [first], rest[()])
                else:
                    spellings = tuple(leaves)
                    raise TokenError(f"a word is the beginning of another in the text ids {spellings}; rename one.")

        grow(state, dict(leaves))
        # Last words of a length of one share an edge, so that a choice among words is one edge.
        edges = self._edges[state]
        self._edges[state] = [edge for edge in edges if edge[1] not in leaves.values()]
        for leaf in dict.fromkeys(leaves.values()):
            ends = [ids[0] for ids, target in edges if target == leaf]
            self._edges[state] += [(ends, leaf)] if ends else []
