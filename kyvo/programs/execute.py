"""The executor of programs: `answer` a query, `apply` an edit. docs/programs.md says what each node means.

Both raise `ProgramError`s that say what was found and what would fit; then nothing has changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kyvo.errors import KyvoError, SceneError
from kyvo.programs.asking import Asker, Value
from kyvo.programs.draft import Draft
from kyvo.programs.editing import Editor
from kyvo.programs.errors import AlreadySo, AmbiguousReference, NoSuchObject, ProgramError
from kyvo.programs.new_shapes import ShapeMaker
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Edit, Node, Numbered, Query, Step, Together
from kyvo.programs.program.edits import leaves
from kyvo.programs.selecting import Finder, Found
from kyvo.programs.structure import check, rewritten
from kyvo.programs.together import Meant, meant_by
from kyvo.programs.turns import now
from kyvo.programs.world import Objects, World
from kyvo.scene.diff import COMPARED, Change, Move, SceneDiff
from kyvo.scene.relations import relationships
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

MAX_OBJECTS = 16  # that a scene may have after an edit: as many as the language model writes


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a query gives."""

    value: Value  # a bool, a number, a word, or a tuple: of words, indices or coordinates
    text: str  # "yes", "3", "red and blue", "the large red cube"
    objects: Objects  # indices of those it rests on: the counted, the compared, the one whose color is the answer
    trace: tuple[Found, ...] = ()  # what each description meant, inner ones first


@dataclass(frozen=True, kw_only=True)
class EditResult:
    """What an edit gives. Objects keep their order; new ones come last."""

    scene: Scene
    changed: Objects  # indices in `scene`
    added: Objects  # indices in `scene`
    removed: Objects  # indices in the scene before
    objects: Objects  # of the scene before: those it rests on, changed or only named
    diff: SceneDiff
    notes: tuple[str, ...] = ()  # what was chosen or left on the way, in words


def answer(query: Query, scene: Scene, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Answer:
    """Raises ProgramError where the scene can not say it: NoSuchObject, AmbiguousReference, UnknownWord."""
    if not isinstance(query, Query):
        raise ProgramError(f"a Query is answered; this is {type(query).__name__}, which `apply` carries out.")
    check(query, schema)
    finder = Finder(World(scene, schema), dialogue)
    said = Asker(finder).ask(query.asks)
    return Answer(value=said.value, text=said.text, objects=said.objects, trace=tuple(finder.trace))


def apply(
    edit: Edit,
    scene: Scene,
    schema: SceneSchema,
    dialogue: Sequence[Turn] = (),
    *,
    max_objects: int = MAX_OBJECTS,
    shapes: ShapeMaker | None = None,
) -> EditResult:
    """The scene after all steps, each applied to what the one before has left.

    Within an edit "it" means what the step before was about. Steps of a `Together` mean the objects before all of them.
    Numbers of objects, in the program and in an AmbiguousReference, are those of `scene`; new objects follow, in order.
    `pixel_coords` of touched objects and the scene's `relationships`, where it has them, are made anew; `image` goes,
    for it shows the scene before.

    Args:
        shapes: makes those of new objects, where the schema has shapes.

    Raises ProgramError, naming the step where there are several: AlreadySo where no step changes anything.
    """
    if not isinstance(edit, Edit):
        raise ProgramError(f"an Edit is applied; this is {type(edit).__name__}, which `answer` answers.")
    check(edit, schema)
    progress = _Progress(scene, schema, dialogue, max_objects, shapes)
    count = sum(1 for _ in leaves(edit.steps))
    try:
        for step in edit.steps:
            progress.take(step)
    except KyvoError as error:
        if isinstance(error, AmbiguousReference):
            error.objects = tuple(progress.scene.objects[index] for index in error.candidates)
            error.candidates = progress.numbers(error.candidates)
        if count > 1 and error.args:
            error.args = (f"step {progress.number} of {count}: {error.args[0]}", *error.args[1:])
        raise
    return progress.result()


class _Progress:
    """An edit on its way: the scene so far, and where its objects come from."""

    def __init__(
        self,
        scene: Scene,
        schema: SceneSchema,
        dialogue: Sequence[Turn],
        max_objects: int,
        shapes: ShapeMaker | None,
    ) -> None:
        self.before = self.scene = scene
        self.schema = schema
        self.dialogue = list(dialogue)
        self.number = 0  # of the step that is being taken
        self.max_objects = max_objects
        self.shapes = shapes
        self.origins: list[int | None] = list(range(len(scene)))  # of the objects now, in the scene before
        self.moved: set[int] = set()  # indices now
        self.rests_on: set[int] = set()  # indices before
        self.notes: list[str] = []

    def numbers(self, objects: Objects) -> Objects:
        """What objects of now are called in a program: by their places before, and the new ones after those."""
        new = [index for index, origin in enumerate(self.origins) if origin is None]
        first = len(self.before)
        return tuple(first + new.index(i) if (at := self.origins[i]) is None else at for i in objects)

    def _numbered_now(self, node: Node) -> Node:
        """The node; a `Numbered` with the object's place now."""
        if not isinstance(node, Numbered):
            return node
        known = self.numbers(tuple(range(len(self.scene))))
        if node.index not in known:
            gone = "is gone" if node.index < len(self.before) else "is not in the scene"
            raise NoSuchObject(f"object number {node.index + 1} {gone}; name another.")
        return Numbered(index=known.index(node.index))

    def take(self, step: Step, meant: Meant | None = None) -> None:
        """
        Args:
            meant: what the descriptions of a `Together` meant before its first step, as they are now.
        """
        if meant is None and self.number:  # numbers are those of now before the first step
            step = rewritten(step, self._numbered_now)
        if isinstance(step, Together):
            asker = Asker(Finder(World(self.scene, self.schema), self.dialogue))
            meant = meant or meant_by(step.steps, asker)
            start = len(self.dialogue) - 1
            for inner in step.steps:
                self.take(inner, meant.now(lambda index: now(self.dialogue, start, index)))
            return
        self.number += 1
        editor = Editor(
            self.scene,
            self.schema,
            self.dialogue,
            meant=meant,
            limit=self.max_objects,
            moved=tuple(sorted(self.moved)),
            shapes=self.shapes,
        )
        try:
            draft = editor.run(step)
        except AlreadySo as error:
            self.notes.append(str(error).rstrip("."))
            draft = Draft.of(self.scene)
        self._count_in(editor, step, draft)

    def _count_in(self, editor: Editor, step: Step, draft: Draft) -> None:
        before, after = self.scene, draft.scene(self.scene)
        now = {old: new for new, old in enumerate(draft.origins) if old is not None}
        changed = tuple(new for old, new in now.items() if after.objects[new] is not before.objects[old])
        added = tuple(new for new, old in enumerate(draft.origins) if old is None)
        # "it" is what a step put in, and not what that was copied from
        mentioned = set(added) or {now[old] for old in editor.mentioned if old in now}
        self.dialogue.append(
            Turn(
                text="",
                program=Edit(steps=(step,)),
                mentioned=tuple(sorted(mentioned)),
                changed=changed,
                added=added,
                removed=tuple(sorted(draft.removed)),
                before=before,
                after=after,
            )
        )
        self.rests_on |= {origin for old in editor.rests_on if (origin := self.origins[old]) is not None}
        moved = {new for old, new in now.items() if after.objects[new].location != before.objects[old].location}
        self.moved = {now[old] for old in self.moved if old in now} | moved
        self.origins = [None if old is None else self.origins[old] for old in draft.origins]
        self.notes += draft.notes
        self.scene = after

    def result(self) -> EditResult:
        before, after = self.before, self.scene
        pairs = [(old, new) for new, old in enumerate(self.origins) if old is not None]
        changed = tuple(new for old, new in pairs if after.objects[new] != before.objects[old])
        added = tuple(new for new, old in enumerate(self.origins) if old is None)
        removed = tuple(sorted(set(range(len(before))) - {old for old, _ in pairs}))
        if not (changed or added or removed):
            raise AlreadySo(f"{'; '.join(self.notes) or 'the steps together change nothing'}.")
        return EditResult(
            scene=_with_relationships(after),
            changed=changed,
            added=added,
            removed=removed,
            objects=tuple(sorted(self.rests_on)),
            diff=_diff(before, after, pairs, added, removed),
            notes=tuple(dict.fromkeys(self.notes)),
        )


def _with_relationships(scene: Scene) -> Scene:
    """The scene with its `relationships`, where it has them, made anew; without, where an object has no location."""
    if "relationships" not in scene.extra:
        return scene
    extra = {key: value for key, value in scene.extra.items() if key != "relationships"}
    try:
        return replace(scene, extra={**extra, "relationships": relationships(scene)})
    except SceneError:
        return replace(scene, extra=extra)


def _diff(before: Scene, after: Scene, pairs: Sequence[tuple[int, int]], added: Objects, removed: Objects) -> SceneDiff:
    """What became of each object, which is known here and need not be guessed as `kyvo.scene.diff.diff` does."""
    moved, changes = [], []
    for old, new in pairs:
        first, second = before.objects[old], after.objects[new]
        if first is second:
            continue
        if first.location != second.location and first.location is not None and second.location is not None:
            distance = float(np.linalg.norm(np.subtract(first.location, second.location)))
            moved.append(Move(before=old, after=new, distance=distance))
        for name in COMPARED:
            values = first.get(name), second.get(name)
            if values[0] != values[1]:
                changes.append(Change(before=old, after=new, attribute=name, old=values[0], new=values[1]))
        for name in sorted({*first.extra, *second.extra} - {"pixel_coords"}):
            values = first.extra.get(name), second.extra.get(name)
            if values[0] != values[1]:
                changes.append(Change(before=old, after=new, attribute=name, old=values[0], new=values[1]))
    return SceneDiff(added=added, removed=removed, moved=tuple(moved), changed=tuple(changes))
