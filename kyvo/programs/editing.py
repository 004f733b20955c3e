"""Execution of edits: each step changes the scene that the step before has left.

A step touches what it names and nothing else: all other objects are the same ones, digit for digit. Only what is moved,
copied or new needs a free place. What stood on an object that goes is left where it is, and a note says so.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kyvo.programs import program as p
from kyvo.programs.asking import Asker
from kyvo.programs.changed_objects import carries, exchanged, object_at, plain_object, turned
from kyvo.programs.descriptions import describe, label
from kyvo.programs.draft import Draft
from kyvo.programs.english import joined, number_word
from kyvo.programs.errors import AlreadySo, AmbiguousReference, CannotPlace, ProgramError
from kyvo.programs.free_space import Group, Point, ground, group_of
from kyvo.programs.new_shapes import NewShape, ShapeMaker
from kyvo.programs.parsing import Turn
from kyvo.programs.placing import Placer
from kyvo.programs.program import Place, Selector, Step, Word
from kyvo.programs.selecting import Finder
from kyvo.programs.together import Meant
from kyvo.programs.turns import brought_back, taken_back
from kyvo.programs.world import Objects, World, unknown, way
from kyvo.scene.colliders import collider_of, sizes
from kyvo.scene.scene import Scene, SceneObject, Vector
from kyvo.scene.schema import SceneSchema


class Editor:
    """Carries out one step on one scene."""

    def __init__(
        self,
        scene: Scene,
        schema: SceneSchema,
        dialogue: Sequence[Turn],
        *,
        limit: int,
        moved: Objects = (),
        meant: Meant | None = None,
        shapes: ShapeMaker | None = None,
    ) -> None:
        """
        Args:
            meant: what descriptions of a `Together` meant before its first step.
            moved: the objects that earlier steps of the same edit moved.
            shapes: makes those of new objects, where the schema has shapes.
        """
        self.shapes = shapes
        self.world = World(scene, schema)
        meant = meant or Meant()
        self.finder = Finder(self.world, dialogue, meant.objects)
        self.asker = Asker(self.finder, meant.words)
        self.limit = limit
        self.moved = moved
        self.draft = Draft.of(scene)
        self.mentioned: set[int] = set()  # what the step is about, before it
        self.rests_on: set[int] = set()  # and what its places and words were found by

    def run(self, step: Step) -> Draft:
        """Raises ProgramError as the nodes say, AlreadySo where nothing would change."""
        match step:
            case p.Set(of=of, field=name, to=to):
                self._set(of, name, to)
            case p.Resize():
                self._resize(step)
            case p.Remove(of=of):
                self._remove(self._targets(of))
            case p.Add():
                self._add(step)
            case p.Move(of=of, place=place):
                self._move(self._movable(of), place)
            case p.Swap():
                self._swap(step)
            case p.Copy():
                self._copy(step)
            case p.Rotate(of=of, degrees=degrees):
                self._rotate(self._targets(of), degrees)
            case p.Align():
                self._align(step)
            case p.Replace(of=of, words=words):
                self._replace(self._targets(of), words)
            case p.Undo():
                self._become(*taken_back(self.finder.dialogue))
            case p.Redo():
                self._become(*brought_back(self.finder.dialogue))
            case _:
                raise ProgramError(f"{type(step).__name__} is no step of an edit.")
        self.rests_on |= self.mentioned | self.asker.rests_on
        return self.draft

    def _movable(self, of: Selector) -> Objects:
        """The objects of a move; the top one of several that fit and stand on one another, as it alone is free."""
        try:
            return self._targets(of)
        except AmbiguousReference as error:
            pile = self.finder.world.pile(error.candidates)
            if pile is None or error.selector != of:
                raise
            self.mentioned.add(pile[-1])
            return pile[-1:]

    # Words

    def _set(self, of: Selector, name: str, to: Word) -> None:
        targets = self._targets(of)
        word = self._new_word(name, to)
        others = [index for index in targets if self.world.word(index, name) != word]
        if not others:
            raise AlreadySo(f"{self._said(targets)} {_is(targets)} {word} already.")
        for index in others:
            self._put(index, self._with_words(index, {name: word}))
        self.draft.note_growth(self.world, others)

    def _new_word(self, name: str, to: Word) -> str:
        """The word that objects get. Raises ProgramError for one of another field, UnknownWord."""
        words = self._words_of(name)
        given = to.field  # type: ignore[attr-defined]
        if given != name:
            raise ProgramError(f"a {name} is set to a {given}; a word of {name} is needed: {', '.join(words)}.")
        if isinstance(to, p.Literally):
            if to.value not in words:
                raise unknown(to.value, words, name)
            return to.value
        return self.asker.word(to)

    def _words_of(self, name: str) -> tuple[str, ...]:
        known = {entry.name: entry.words for entry in self.world.schema.word_fields}
        if name not in known:
            raise unknown(name, known, "field that can be set")
        return known[name]

    def _with_words(self, index: int, words: Mapping[str, str]) -> SceneObject:
        """The object with other words. One that gets another size keeps its foot where it is."""
        item = self.world.scene.objects[index]
        changed = item.with_values(**words)
        if "size" not in words or item.location is None or words["size"] == item.size:
            return changed
        old, new = (
            collider_of(replace(row, location=None), self.world.schema, self.world.view_frame)
            for row in (item, changed)
        )
        height = self.world.colliders[index].half_height
        return self._grown(changed, index, height * (new.half_height / old.half_height - 1))

    def _grown(self, item: SceneObject, index: int, rise: float) -> SceneObject:
        start = self.world.point(index)
        location = self.world.view_frame.moved(self._location(index), start, start + rise * way("above"))
        return object_at(location, item, self.world.scene)

    def _resize(self, step: p.Resize) -> None:
        targets = self._targets(step.of)
        if step.factor is not None:
            return self._scale(targets, step.factor if step.larger or step.factor < 1 else 1 / step.factor)
        order = sizes(self.world.schema)
        if not order:
            return self._scale(targets, 1.25 if step.larger else 0.8)
        changed = []
        for index in targets:
            place = order.index(self._size(index, order)) + (1 if step.larger else -1)
            if 0 <= place < len(order):
                self._put(index, self._with_words(index, {"size": order[place]}))
                changed.append(index)
        if not changed:
            end = order[-1] if step.larger else order[0]
            kind = "larger" if step.larger else "smaller"
            raise AlreadySo(f"{self._said(targets)} {_is(targets)} {end} already; no size is {kind}.")
        return self.draft.note_growth(self.world, changed)

    def _size(self, index: int, order: Sequence[str]) -> str:
        size = self.world.word(index, "size")
        if size is None or size not in order:
            raise ProgramError(f"objects[{index}] has the size {size!r}; one of {', '.join(order)} is needed.")
        return size

    def _scale(self, targets: Objects, factor: float) -> None:
        for index in targets:
            item = self.world.scene.objects[index]
            if item.dimensions is None:
                order = sizes(self.world.schema)
                hint = f"its sizes are words: {', '.join(order)}" if order else "nothing says how large it is"
                raise ProgramError(f"{describe(self.world.scene, index)} has no dimensions to scale; {hint}.")
            width, height, length = (round(extent * factor, 6) for extent in item.dimensions)
            scaled = replace(item, dimensions=(width, height, length))
            rise = (height - item.dimensions[1]) / 2
            self._put(index, scaled if item.location is None else self._grown(scaled, index, rise))
        if factor == 1:
            raise AlreadySo("a factor of 1 changes nothing.")
        self.draft.note_growth(self.world, targets)

    def _replace(self, targets: Objects, words: Sequence[p.Literally]) -> None:
        new = self._given(words)
        changed = []
        for index in targets:
            if any(self.world.word(index, name) != word for name, word in new.items()):
                self._put(index, replace(self._with_words(index, new), confidence=None))
                changed.append(index)
        if not changed:
            raise AlreadySo(
                f"{joined(self.finder.described(targets))} {_is(targets)} {' '.join(new.values())} already."
            )
        self.draft.note_growth(self.world, changed)

    def _given(self, words: Sequence[p.Literally]) -> dict[str, str]:
        """The words of a new object. Raises UnknownWord, and ProgramError for two of one field."""
        new: dict[str, str] = {}
        for word in words:
            if word.field in new:
                raise ProgramError(f"the {word.field} of a new object is given twice; say it once.")
            new[word.field] = self._new_word(word.field, word)
        if not new:
            fields = ", ".join(entry.name for entry in self.world.schema.word_fields)
            hint = f"its fields are {fields}" if fields else "and this schema has none; copy an object instead"
            raise ProgramError(f"a new object needs a word at least; {hint}.")
        return new

    # Coming and going

    def _remove(self, targets: Objects) -> None:
        self.draft.note_hanging(self.world, targets)
        kept = [index for index in range(len(self.world)) if index not in targets]
        self.draft.objects = [self.draft.objects[index] for index in kept]
        self.draft.origins = list(kept)
        self.draft.removed = set(targets)

    def _become(self, scene: Scene, origins: list[int | None]) -> None:
        """The scene of an earlier turn, with the index that each of its objects has now."""
        self.draft.origins = origins
        self.draft.objects = list(scene.objects)
        self.draft.removed = set(self.world.all) - set(self.draft.origins)

    def _add(self, step: p.Add) -> None:
        words = self._given(step.words)
        missing = [entry for entry in self.world.schema.word_fields if entry.name not in words]
        for entry in missing:
            counts = Counter(self.world.word(index, entry.name) for index in self.world.all)
            words[entry.name] = max(entry.words, key=lambda word, counts=counts: counts[word])
        template = plain_object(self.world, words, shape=self._new_shape(words))
        self._insert([template], step.place, step.count, f"the new {label(template)}")
        if missing:
            said = joined([words[entry.name] for entry in missing])
            why = "as most objects are" if len(self.world) else "for the scene is empty"
            self.draft.notes.append(f"a new object is {said}, {why}")

    def _new_shape(self, words: Mapping[str, str]) -> NewShape | None:
        """A generated shape, where the schema's objects have shapes."""
        if all(entry.name != "shape_codes" for entry in self.world.schema.fields):
            return None
        if self.shapes is None:
            raise ProgramError(
                "a new object needs shape codes, and there is no generator of objects to make them; copy an object "
                "instead."
            )
        said = label(SceneObject().with_values(**words))
        shape = self.shapes(f"{'an' if said[0] in 'aeiou' else 'a'} {said}")
        self.draft.notes += shape.notes
        return shape

    def _copy(self, step: p.Copy) -> None:
        targets = self._targets(step.of)
        place = step.place or (p.NextTo(to=step.of) if len(targets) == 1 else None)
        templates = [replace(self.world.scene.objects[index], confidence=None) for index in targets]
        self._insert(templates, place, step.count, f"the copy of {self._said(targets)}", targets)

    def _insert(
        self, templates: Sequence[SceneObject], place: Place | None, count: int, said: str, like: Objects = ()
    ) -> None:
        """Puts in new objects, `count` times all templates. The first stand at the place, the next as near as they can.

        Copies (`like` are their originals) keep how they stand to one another.
        """
        total = len(self.world) + count * len(templates)
        if total > self.limit:
            raise CannotPlace(f"the scene would have {total} objects; at most {self.limit} are allowed.")
        group = self._copied(like, said) if like else self._new(templates, said)
        scene, frame, center = self.world.scene, self.world.view_frame, group.center
        for number in range(count):
            world = World(replace(scene, objects=tuple(self.draft.objects)), self.world.schema)
            placer = Placer(self.finder, group, world=world, moved=self.moved)
            try:
                points = placer.near(center) if place is None else placer.place(place)
            except CannotPlace:
                if number == 0:
                    raise
                points = placer.near(center)
                self.draft.notes.append(f"no room was left there for all of {count}; one stands nearby")
            if number == 0:
                center = points.mean(0)
            self.rests_on.update(placer.anchors)
            for template, start, point in zip(templates, group.points, points, strict=True):
                old = template.location
                location = frame.location(point) if old is None else frame.moved(old, start, point)
                self.draft.objects.append(object_at(location, template, scene))
                self.draft.origins.append(None)
        self.draft.note_guesses(group)

    def _new(self, templates: Sequence[SceneObject], said: str) -> Group:
        """New objects in the middle of the floor."""
        world = self.world
        colliders = [collider_of(item, world.schema, world.view_frame) for item in templates]
        middle = world.floor[0]
        points = np.array([[*middle, ground(world) + collider.half_height] for collider in colliders])
        return Group(indices=(), colliders=colliders, points=points, said=said)

    def _copied(self, like: Objects, said: str) -> Group:
        return replace(group_of(self.world, like), indices=(), said=said)

    # Places

    def _move(self, targets: Objects, place: Place) -> None:
        if isinstance(place, p.OnTop | p.Beside) and len(targets) > 1 and _is_upwards(place):
            return self._stack(targets, place.of if isinstance(place, p.OnTop) else place.to)  # type: ignore[union-attr]
        group = group_of(self.world, targets)
        placer = Placer(self.finder, group, moved=self.moved)
        points = placer.place(place)
        self.rests_on.update(placer.anchors)
        self._move_to(targets, points)
        return self.draft.note_guesses(group)

    def _stack(self, targets: Objects, on: Selector) -> None:
        """Several objects onto one, the lowest first."""
        base = self.finder.one(on)
        self.rests_on.add(base)
        waiting = sorted((i for i in targets if i != base), key=lambda i: (float(self.world.point(i)[2]), i))
        scene = self.world.scene
        while waiting:
            index, *rest = waiting
            world = World(scene, self.world.schema)
            group = replace(group_of(world, [index]), indices=(index, *rest))  # the rest is not in its way
            point = Placer(self.finder, group, world=world).place(p.OnTop(of=p.Numbered(index=base)))[0]
            scene, waiting = self._with_place(scene, index, world, point), rest
        self._take(scene, targets)

    def _with_place(self, scene: Scene, index: int, world: World, point: Point) -> Scene:
        """The scene with one object elsewhere."""
        old = self._location(index)
        location = world.view_frame.moved(old, self.world.points[index], point)
        if location == old:
            return scene
        objects = list(scene.objects)
        objects[index] = object_at(location, objects[index], scene)
        return replace(scene, objects=tuple(objects))

    def _take(self, scene: Scene, targets: Objects) -> None:
        """Takes the objects of a scene in which these were moved."""
        changed = [index for index in targets if scene.objects[index] is not self.world.scene.objects[index]]
        if not changed:
            raise AlreadySo(f"{joined(self.finder.described(targets))} {_stands(targets)} there already.")
        for index in changed:
            self._put(index, scene.objects[index])
        self.draft.note_hanging(self.world, changed)

    def _move_to(self, targets: Objects, points: np.ndarray) -> None:
        scene = self.world.scene
        for index, point in zip(targets, points, strict=True):
            scene = self._with_place(scene, index, self.world, point)
        self._take(scene, targets)

    def _swap(self, step: p.Swap) -> None:
        pair = self._pair(step.first, step.second)
        if step.field != "location":
            words = [self.world.needed_word(index, step.field) for index in pair]
            if words[0] == words[1]:
                raise AlreadySo(f"both objects are {words[0]}; swapping their {step.field} changes nothing.")
            for index, word in zip(pair, reversed(words), strict=True):
                self._put(index, self._with_words(index, {step.field: word}))
            return self.draft.note_growth(self.world, pair)
        for index, end in zip(pair, exchanged(self.world, pair), strict=True):
            group = replace(group_of(self.world, [index]), indices=pair)  # the other is not in its way
            if not carries(self.world, pair):
                Placer(self.finder, group).need(end, "to the other's place")
        return self._move_to(pair, np.array(exchanged(self.world, pair)))

    def _align(self, step: p.Align) -> None:
        targets = self._targets(step.of)
        anchor = targets[0] if step.to is None else self.finder.one(step.to)
        self.rests_on.add(anchor)
        rest = tuple(index for index in targets if index != anchor)
        if not rest:
            raise ProgramError("one object is on one line with itself; name several.")
        if step.direction in ("above", "below"):
            return self._stack(rest, p.Numbered(index=anchor))
        line = p.InLine(to=p.Numbered(index=anchor), direction=step.direction)
        scene = self.world.scene
        for index in rest:
            world = World(scene, self.world.schema)
            point = Placer(self.finder, group_of(world, [index]), world=world).place(line)[0]
            scene = self._with_place(scene, index, world, point)
        return self._take(scene, rest)

    def _rotate(self, targets: Objects, degrees: float) -> None:
        if degrees % 360 == 0:
            raise AlreadySo(f"a turn by {degrees:g} degrees changes nothing.")
        for index in targets:
            self._put(index, turned(self.world.scene.objects[index], math.radians(degrees), self.world.scene))

    # Objects

    def _targets(self, of: Selector) -> Objects:
        found = self.finder.some(of)
        self.mentioned.update(found)
        self.draft.notes += self.finder.missing(of)
        return found

    def _pair(self, first: Selector, second: Selector) -> Objects:
        pair = self.finder.pair(first, second)
        self.mentioned.update(pair)
        return pair

    def _location(self, index: int) -> Vector:
        self.world.point(index)
        location = self.world.scene.objects[index].location
        assert location is not None
        return location

    def _put(self, index: int, item: SceneObject) -> None:
        self.draft.objects[index] = item

    def _said(self, found: Objects) -> str:
        return describe(self.world.scene, found[0]) if len(found) == 1 else f"the {number_word(len(found))} objects"


def _is_upwards(place: Place) -> bool:
    return isinstance(place, p.OnTop) or (
        isinstance(place, p.Beside) and place.direction == "above" and place.distance is None
    )


def _is(objects: Sequence[int]) -> str:
    return "is" if len(objects) == 1 else "are"


def _stands(objects: Sequence[int]) -> str:
    return "stands" if len(objects) == 1 else "stand"
