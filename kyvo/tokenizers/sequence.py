"""`SequenceBuilder`: segments -> ids, labels, loss weights and two-way spans; and ids -> segments.

```
[BOS] inputs [OUTPUT-START] outputs [EOS]        labels only from the first output on
[IMAGE-START] codes [IMAGE-END]   [SCENE-START] ... [SCENE-END]   [TEXT-START] text [TEXT-END]
[PROGRAM-START] program [PROGRAM-END]      a dialogue: each earlier text with its program
```
Output pictures are written from the centre outwards (`order.py`), and their first codes weigh more in the loss,
since all the others follow them (https://arxiv.org/abs/2506.08002, section 3.3).

A shape, or a picture, has no first and last part, so its codes may see one another: *two-way spans*. Only what goes in
has them. Codes that come out have labels; if they saw one another, each would see its own label, and when they are
written the later ones are not there yet. So outputs are causal.
"""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import numpy as np

from kyvo.errors import ConfigError, TokenError
from kyvo.scene.schema import SceneSchema
from kyvo.tokenizers.order import reorder, restore
from kyvo.tokenizers.programs import ProgramTokenizer
from kyvo.tokenizers.scene import ALL_PARTS, OptionalParts, SceneTokenizer
from kyvo.tokenizers.tasks import Segment, Segments, Task
from kyvo.tokenizers.text import TextTokenizer
from kyvo.tokenizers.vocabulary import (
    IMAGE_END,
    IMAGE_START,
    OBJECT_END,
    OBJECT_START,
    OUTPUT,
    PROGRAM_END,
    PROGRAM_START,
    SCENE_END,
    SCENE_START,
    TEXT_END,
    TEXT_START,
    Vocabulary,
)

Ids = SequenceOf[int] | np.ndarray  # int64 [seq]
IGNORE = -100  # a label that is not learnt
MAX_NUMBER = 16  # objects that are told apart by their number in the scene; later ones count as the last

MARKERS = {
    Segment.IMAGE: (IMAGE_START, IMAGE_END),
    Segment.SCENE: (SCENE_START, SCENE_END),
    Segment.TEXT: (TEXT_START, TEXT_END),
    Segment.PROGRAM: (PROGRAM_START, PROGRAM_END),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequence:
    """One training sample. Labels are not shifted: `labels[i]` is `ids[i]` or IGNORE."""

    ids: np.ndarray  # int64 [seq]
    labels: np.ndarray  # int64 [seq]
    weights: np.ndarray  # float32 [seq], loss weight of each label; 0 where there is none
    spans: tuple[tuple[int, int], ...]  # [start, stop) of tokens that attend both ways
    grid_positions: np.ndarray  # int64 [seq], of image codes and of objects; -1 elsewhere
    objects: np.ndarray | None = None  # int64 [codes, values], of the picture that goes in: `training.auxiliary_heads`
    drawn: np.ndarray | None = None  # the same of the picture that comes out
    asked: np.ndarray | None = None  # float32 [texts, objects], what each is about: `training.auxiliary_heads`
    named: np.ndarray | None = None  # float32 [seq, objects], of `SequenceBuilder.named`
    changed: np.ndarray | None = None  # bool [seq], of `SequenceBuilder.changed`
    allowed: np.ndarray | None = None  # object [seq], what each label is one of: `training.allowed`
    branches: tuple[tuple[int, int], ...] = ()  # [start, stop) of what goes on from one beginning: `share_prefix`


class SequenceBuilder:
    """Builds and parses the sequences of every task for one vocabulary, schema and picture grid."""

    def __init__(
        self,
        *,
        vocabulary: Vocabulary,
        schema: SceneSchema,
        text: TextTokenizer,
        image_grid: tuple[int, int],  # rows, columns of image codes
        center_first: bool = True,
        two_way: tuple[str, ...] = ("shape",),  # kinds of codes that attend both ways where they go in
        num_heavy: int = 5,  # first codes of an output picture ...
        heavy_weight: float = 10.0,  # ... and their loss weight
    ) -> None:
        if unknown := set(two_way) - {"image", "shape"}:
            raise ConfigError(f"two_way has {', '.join(sorted(unknown))}; codes are of the kinds image and shape.")
        self.vocabulary = vocabulary
        self.text = text
        self.scenes = SceneTokenizer(schema=schema, vocabulary=vocabulary, text=text)
        self.programs = ProgramTokenizer(schema=schema, vocabulary=vocabulary) if vocabulary.programs else None
        self.image_grid = image_grid
        self.center_first = center_first
        self.two_way = two_way
        self.num_heavy = num_heavy
        self.heavy_weight = heavy_weight
        raster = np.arange(image_grid[0] * image_grid[1])
        self.order = reorder(raster, *image_grid) if center_first else raster  # of an output picture's places

    def prompt(
        self, task: Task, given: Segments, *, clamp: bool = False, optional: OptionalParts = ALL_PARTS
    ) -> list[int]:
        """Ids up to and with [OUTPUT-START]: what a model completes."""
        _check_kinds(task, "input", task.inputs, given)
        ids = [self.text.bos_id]
        for segment in task.inputs:
            ids.extend(self._encode(segment, given, output=False, clamp=clamp, optional=optional))
        return [*ids, self.vocabulary.marker_id(OUTPUT)]

    def build(
        self, task: Task, given: Segments, wanted: Segments, *, clamp: bool = False, optional: OptionalParts = ALL_PARTS
    ) -> Sequence:
        """The training sequence of one sample. Raises TokenError when the segments do not fit the task."""
        _check_kinds(task, "output", task.outputs, wanted)
        prompt = self.prompt(task, given, clamp=clamp, optional=optional)
        outputs: list[int] = []
        weights: list[float] = []
        for segment in task.outputs:
            ids = self._encode(segment, wanted, output=True, clamp=clamp, optional=optional)
            heavy = range(1, 1 + self.num_heavy) if segment is Segment.IMAGE else range(0)  # 0 is [IMAGE-START]
            outputs.extend(ids)
            weights.extend(self.heavy_weight if place in heavy else 1.0 for place in range(len(ids)))
        ids = np.array([*prompt, *outputs, self.text.eos_id])
        labels = np.where(np.arange(len(ids)) < len(prompt), IGNORE, ids)
        return Sequence(
            ids=ids,
            labels=labels,
            weights=np.array([*[0.0] * len(prompt), *weights, 1.0], dtype=np.float32),
            spans=self.spans(ids),
            grid_positions=self.grid_positions(ids),
        )

    def grid_positions(self, ids: Ids) -> np.ndarray:
        """int64 [seq]: where each image code of the input stands in its picture, row-major; after those numbers,
        the number of the object in its scene, for all ids of the object; after those (`output_grid_positions`),
        where a code of the output stands; -1 for all other ids.

        `ids` is a sequence from its beginning, or a part of one that is not yet complete.
        """
        ids = np.asarray(ids)
        codes = self.vocabulary.ranges["image"]
        inside = (ids >= codes.start) & (ids < codes.stop)
        count = np.cumsum(inside)
        before = np.maximum.accumulate(np.where(inside, 0, count))  # codes of earlier pictures
        rows, columns = self.image_grid
        number = np.clip(count - before - 1, 0, rows * columns - 1)
        after_output = np.cumsum(ids == self.vocabulary.marker_id(OUTPUT)) > 0
        number = np.where(after_output, self.output_grid_positions.start + self.order[number], number)
        return np.where(inside, number, self._objects(ids))

    @property
    def num_grid_positions(self) -> int:
        """How many different `grid_positions` there are."""
        return self.output_grid_positions.stop

    @property
    def output_grid_positions(self) -> range:
        """The `grid_positions` of codes that come out, row-major."""
        start = self.image_grid[0] * self.image_grid[1] + MAX_NUMBER
        return range(start, 2 * start - MAX_NUMBER)

    def _objects(self, ids: np.ndarray) -> np.ndarray:
        """int64 [seq]: the place of the object that each id belongs to; -1 for ids of none."""
        starts, ends, scenes = (
            ids == self.vocabulary.marker_id(marker) for marker in (OBJECT_START, OBJECT_END, SCENE_START)
        )
        count = np.cumsum(starts)
        inside = count > np.cumsum(ends) - ends
        before = np.maximum.accumulate(np.where(scenes, count, 0))  # objects of earlier scenes
        rows, columns = self.image_grid
        return np.where(inside, rows * columns + np.minimum(count - before - 1, MAX_NUMBER - 1), -1)

    def spans(self, ids: Ids) -> tuple[tuple[int, int], ...]:
        """[start, stop) of each picture and shape in the inputs whose codes attend both ways."""
        ids = np.asarray(ids)
        given = np.cumsum(ids == self.vocabulary.marker_id(OUTPUT)) == 0
        spans: list[tuple[int, int]] = []
        for kind in self.two_way:
            codes = self.vocabulary.ranges[kind]
            inside = np.concatenate([[0], given & (ids >= codes.start) & (ids < codes.stop), [0]]).astype(int)
            edges = np.flatnonzero(np.diff(inside))
            spans += [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
        return tuple(spans)

    def changed(self, ids: Ids) -> np.ndarray:
        """bool [seq]: the ids of an output scene's objects that do not go on as the scene of the input does: of objects
        that are new or changed, of the next one after any that is gone, and of [SCENE-END] where the last is gone.

        `ids` is the whole sequence of a task with a scene on both sides.
        """
        ids = np.asarray(ids)
        start, end, scene, close = (
            np.flatnonzero(ids == self.vocabulary.marker_id(marker))
            for marker in (OBJECT_START, OBJECT_END, SCENE_START, SCENE_END)
        )
        objects = [(int(first), int(last) + 1) for first, last in zip(start, end, strict=True)]
        before = [tuple(ids[slice(*span)]) for span in objects if span[0] < scene[-1]]
        found = np.zeros(len(ids), dtype=bool)
        place = 0  # in `before`: what should come next
        for span in (span for span in objects if span[0] > scene[-1]):
            item = tuple(ids[slice(*span)])
            found[slice(*span)] = item != (before[place] if place < len(before) else None)
            place = before.index(item, place) + 1 if item in before[place:] else place
        found[close[-1]] = place < len(before)
        return found

    def named(self, ids: Ids) -> np.ndarray:
        """float32 [seq, MAX_NUMBER]: at each word of the input's text that a field of the schema can have, 1 for the
        objects of the input's scene that have it, 0 for its others, and -1 for numbers beyond; -1 at all other ids.

        `ids` is the whole sequence of a task with a scene and, after it, a text in its input.
        """
        ids = np.asarray(ids)
        marker = {name: self.vocabulary.marker_id(name) for name in (OBJECT_START, OBJECT_END, TEXT_START, OUTPUT)}
        inputs = ids[: int(np.argmax(ids == marker[OUTPUT]))]
        start, end = (np.flatnonzero(inputs == marker[name]) for name in (OBJECT_START, OBJECT_END))
        objects = [set(inputs[first:last]) for first, last in zip(start, end, strict=True)]
        words = {
            spelt[0] for of_field in self.scenes.word_ids.values() for spelt in of_field.values() if len(spelt) == 1
        }
        found = np.full((len(ids), MAX_NUMBER), -1, dtype=np.float32)
        for place in range(int(np.argmax(inputs == marker[TEXT_START])), len(inputs)):
            if inputs[place] in words:
                found[place, : len(objects)] = [inputs[place] in item for item in objects[:MAX_NUMBER]]
        return found

    def parse(self, task: Task, ids: Ids) -> tuple[Segments, Segments]:
        """Inverse of `build`: what was given and what came out. Raises TokenError for ids that are no such sequence."""
        ids = [int(token) for token in ids]
        output = self.vocabulary.marker_id(OUTPUT)
        if not ids or ids[0] != self.text.bos_id or output not in ids:
            raise TokenError(f"a sequence starts with id {self.text.bos_id} and has one {OUTPUT}; this has not.")
        split = ids.index(output)
        return self._decode(task.inputs, ids[1:split], output=False), self.parse_output(task, ids[split + 1 :])

    def parse_output(self, task: Task, ids: Ids) -> Segments:
        """The ids after [OUTPUT-START], with the closing EOS -> segments."""
        ids = [int(token) for token in ids]
        if not ids or ids[-1] != self.text.eos_id:
            raise TokenError(f"an output ends with the id {self.text.eos_id}; this one of {len(ids)} ids does not.")
        return self._decode(task.outputs, ids[:-1], output=True)

    def _encode(
        self, segment: Segment, content: Segments, *, output: bool, clamp: bool, optional: OptionalParts = ALL_PARTS
    ) -> list[int]:
        if segment is Segment.SCENE:
            assert content.scene is not None
            return self.scenes.encode(content.scene, clamp=clamp, optional=optional)
        if segment is Segment.DIALOGUE:
            assert content.dialogue is not None
            turns = (Segments(text=text, program=program) for text, program in content.dialogue)
            kinds = (Segment.TEXT, Segment.PROGRAM)
            return [
                token
                for turn in turns
                for kind in kinds
                for token in self._encode(kind, turn, output=False, clamp=clamp)
            ]
        if segment is Segment.PROGRAM:
            self.need_programs()
        start, end = (self.vocabulary.marker_id(marker) for marker in MARKERS[segment])
        if segment is Segment.TEXT:
            assert content.text is not None
            return [start, *self.text.encode(content.text), end]
        if segment is Segment.PROGRAM:
            assert content.program is not None
            return [start, *self.need_programs().encode(content.program), end]
        codes = np.asarray(content.image).reshape(-1)
        rows, columns = self.image_grid
        if len(codes) != rows * columns:
            raise TokenError(
                f"a picture here has {rows} x {columns} = {rows * columns} codes, but {len(codes)} were given."
            )
        if output and self.center_first:
            codes = reorder(codes, rows, columns)
        return [start, *(self.vocabulary.image_id(int(code)) for code in codes), end]

    def _decode(self, segments: tuple[Segment, ...], ids: list[int], *, output: bool) -> Segments:
        content: dict[str, object] = {}
        for segment in segments:
            length = self._length(segment, ids)
            content[segment.value] = self._decode_one(segment, ids[:length], output=output)
            ids = ids[length:]
        if ids:
            raise TokenError(f"{len(ids)} ids are left after the last segment, the first is {ids[0]}.")
        return Segments(**content)  # type: ignore[arg-type]

    def _length(self, segment: Segment, ids: list[int]) -> int:
        """How many ids the segment at the head of `ids` has, its two markers counted in."""
        if segment is Segment.DIALOGUE:  # up to the text that stands last
            start = self.vocabulary.marker_id(TEXT_START)
            return len(ids) - 1 - ids[::-1].index(start) if start in ids else len(ids)
        start, end = MARKERS[segment]
        if not ids or ids[0] != self.vocabulary.marker_id(start) or self.vocabulary.marker_id(end) not in ids:
            raise TokenError(f"a {segment.value} stands between {start} and {end}, but the ids go on with {ids[:3]}.")
        return ids.index(self.vocabulary.marker_id(end)) + 1

    def _decode_one(self, segment: Segment, ids: list[int], *, output: bool) -> object:
        if segment is Segment.SCENE:
            return self.scenes.decode(ids)
        if segment is Segment.DIALOGUE:
            return self._decode_dialogue(ids)
        inner = ids[1:-1]
        if segment is Segment.PROGRAM:
            return self.need_programs().decode(inner)
        if segment is Segment.TEXT:
            if any(token not in self.text.plain for token in inner):
                raise TokenError("a text holds ids that are no text.")
            return self.text.decode(inner)
        rows, columns = self.image_grid
        allowed = self.vocabulary.ranges["image"]
        if len(inner) != rows * columns or any(token not in allowed for token in inner):
            raise TokenError(f"a picture has {rows * columns} image codes; {len(inner)} ids stand between its markers.")
        codes = np.array(inner) - allowed.start
        return self.raster(codes) if output else codes

    def _decode_dialogue(self, ids: list[int]) -> tuple[tuple[object, object], ...]:
        turns = []
        while ids:
            turn = []
            for kind in (Segment.TEXT, Segment.PROGRAM):
                length = self._length(kind, ids)
                turn.append(self._decode_one(kind, ids[:length], output=False))
                ids = ids[length:]
            turns.append((turn[0], turn[1]))
        return tuple(turns)

    def need_programs(self) -> ProgramTokenizer:
        """Raises TokenError where the vocabulary has no programs."""
        if self.programs is None:
            raise TokenError(
                f"the vocabulary {self.vocabulary.name!r} has no programs; the task parsing needs a model that was "
                "trained with them."
            )
        return self.programs

    def raster(self, written: np.ndarray) -> np.ndarray:
        """An output picture's codes, or what belongs to them [codes, ...], row-major."""
        return restore(written, *self.image_grid) if self.center_first else written


def share_prefix(sequences: SequenceOf[Sequence]) -> Sequence:
    """Several samples on one picture and scene as one: what their prompts have in common, then the rest of each.

    Each rest is a branch: it sees the beginning and itself, at the positions that it would have alone, so the losses
    are those of the samples one by one.
    """
    first = sequences[0]
    shortest = min(int(np.flatnonzero(one.labels != IGNORE)[0]) for one in sequences)  # of the prompts
    common = np.logical_and.reduce([one.ids[:shortest] == first.ids[:shortest] for one in sequences])
    shared = int(np.argmin(common)) if not common.all() else shortest
    # A branch's first label is predicted by the token before it, which has to be the branch's own.
    shared = min(shared, shortest - 1)
    ends = shared + np.cumsum([len(one.ids) - shared for one in sequences])
    joined = {
        name: np.concatenate([getattr(first, name)[:shared], *(getattr(one, name)[shared:] for one in sequences)])
        for name in ("ids", "labels", "weights", "grid_positions", "named", "changed", "allowed")
        if getattr(first, name) is not None
    }
    assert all(stop <= shared for one in sequences for _, stop in one.spans), "what attends both ways is not shared"
    branches = tuple((int(start), int(stop)) for start, stop in zip([shared, *ends[:-1]], ends, strict=True))
    return Sequence(**joined, spans=first.spans, objects=first.objects, branches=branches)


def _check_kinds(task: Task, side: str, needed: tuple[Segment, ...], content: Segments) -> None:
    if content.kinds != frozenset(needed):
        found = ", ".join(sorted(content.kinds)) or "nothing"
        raise TokenError(f"the {side} of {task.name} is {', '.join(needed)}; {found} was given.")
