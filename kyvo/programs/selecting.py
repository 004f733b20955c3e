"""Evaluation of selectors and measures: the objects of a scene that a description means.

A selector denotes a set; an empty set is no error in itself. Where an object is presupposed ("left of the dog"),
none is `NoSuchObject` and too many are `AmbiguousReference`, with what there is in words.

"The largest" of several that share the largest word is the one nearest to the camera, and "the smallest" the one
farthest from it, as people mean it; all other ties are ambiguous.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kyvo.programs import program as p
from kyvo.programs.descriptions import descriptions, label
from kyvo.programs.english import counted, joined, number_word
from kyvo.programs.errors import AmbiguousReference, NoSuchObject, ProgramError
from kyvo.programs.parsing import Turn
from kyvo.programs.phrases import objects_of
from kyvo.programs.program import Measure, Selector
from kyvo.programs.program.selectors import shared_fields
from kyvo.programs.turns import earlier
from kyvo.programs.world import SAME, Objects, World


@dataclass(frozen=True, kw_only=True)
class Found:
    """One step of an execution: what a selector meant in the scene."""

    selector: Selector
    objects: Objects  # indices of the scene it was looked for in

    def __str__(self) -> str:
        return f"{objects_of(self.selector)}: {joined([str(i) for i in self.objects]) if self.objects else 'none'}"


class Finder:
    """Looks for objects in one world. `trace` keeps what was found, inner selectors first."""

    def __init__(
        self, world: World, dialogue: Sequence[Turn] = (), meant: Mapping[Selector, Objects] | None = None
    ) -> None:
        """`meant` are descriptions whose objects are known already, from before earlier steps of an edit."""
        self.world = world
        self.meant = meant or {}
        self.dialogue = tuple(dialogue)
        self.trace: list[Found] = []

    def find(self, selector: Selector) -> Objects:
        """The set. Raises ProgramError for what does not hold in it, as its nodes say."""
        found = self.meant.get(selector) if self.meant else None
        if found is None:
            found = tuple(sorted(set(self._find(selector))))
        if not isinstance(selector, p.Everything):
            self.trace.append(Found(selector=selector, objects=found))
        return found

    def some(self, selector: Selector) -> Objects:
        """The set, which must not be empty: NoSuchObject says what there is instead."""
        found = self.find(selector)
        if not found:
            raise NoSuchObject(self._missing(selector))
        return found

    def missing(self, selector: Selector) -> list[str]:
        """What is named among several and is not there: "there are no yellow cubes"."""
        if isinstance(selector, p.Either):
            return [*self.missing(selector.first), *self.missing(selector.second)]
        return [] if self.find(selector) else [f"there are no {objects_of(selector)}"]

    def one(self, selector: Selector) -> int:
        """The only object. Raises NoSuchObject, AmbiguousReference."""
        first, *others = self.some(selector)
        if others:
            raise self._ambiguous(selector, (first, *others), 1)
        return first

    def _find(self, selector: Selector) -> Sequence[int]:
        world = self.world
        match selector:
            case p.Everything():
                return world.all
            case p.Where(of=of, field=field, value=value):
                return _both(self.find(of), world.having(field, value))
            case p.WhereSame(of=of, field=field, like=like, some=True):
                words = {index: world.needed_word(index, field) for index in self.find(like)}
                return [
                    index
                    for index in self.find(of)
                    if any(other != index and word == world.word(index, field) for other, word in words.items())
                ]
            case p.WhereSame(of=of, field=field, like=like):
                other = self.one(like)
                word = world.needed_word(other, field)
                return [index for index in self.find(of) if index != other and world.word(index, field) == word]
            case p.Shared():
                of, fields = shared_fields(selector)
                for field in fields:
                    world.words_of(field)
                words = {index: tuple(world.word(index, field) for field in fields) for index in self.find(of)}
                counts = Counter(words.values())
                return [index for index, own in words.items() if None not in own and counts[own] > 1]
            case p.Both(first=first, second=second):
                return _both(self.find(first), self.find(second))
            case p.Either(first=first, second=second):
                return (*self.find(first), *self.find(second))
            case p.Except(of=of, without=without):
                gone = self.find(without)
                return [index for index in self.find(of) if index not in gone]
            case p.Related(of=of, relation=relation, to=to, some=True):
                stands = np.any(world.related(relation)[list(self.find(to))], axis=0).tolist()
                return [index for index in self.find(of) if stands[index]]
            case p.Related(of=of, relation=relation, to=to):
                anchors = self.some(to)
                stands = np.all(world.related(relation)[list(anchors)], axis=0)
                return [index for index in self.find(of) if stands[index] and index not in anchors]
            case p.Between(of=of, first=first, second=second):
                ends = self.pair(first, second)
                return [i for i in self.find(of) if i not in ends and world.is_between(i, *ends)]
            case p.MoreThan(of=of, by=by, than=than):
                found, other = self.find(of), self.one(than)
                values = self.measures(by, (*found, other))
                return [index for index in found if values[index] > values[other] + SAME]
            case p.InRegion(of=of, region=region):
                return [index for index in self.find(of) if world.is_in(index, region)]
            case p.Hidden(of=of):
                return _both(self.find(of), world.hidden)
            case p.Extreme(rank=rank):
                order, values = self._order(selector)
                return (
                    [i for i in order if abs(values[i] - values[order[rank - 1]]) <= SAME] if rank <= len(order) else []
                )
            case p.The():
                return self._the(selector)
            case p.Earlier(role=role, turn=turn):
                return earlier(self.dialogue, role, turn)
            case p.Numbered(index=index):
                if index >= len(world):
                    raise NoSuchObject(f"there is no object number {index + 1}; the scene has {len(world)}.")
                return (index,)
            case _:
                raise ProgramError(f"{type(selector).__name__} is no selector.")

    def pair(self, first: Selector, second: Selector) -> tuple[int, int]:
        """Two different objects; one selector of two gives both."""
        if first == second:
            found = self.some(first)
            if len(found) == 2:
                return found[0], found[1]
        pair = self.one(first), self.one(second)
        if pair[0] == pair[1]:
            raise ProgramError(f"{objects_of(first)} and {objects_of(second)} are the same object; two are needed.")
        return pair

    def _the(self, the: p.The) -> Objects:
        if isinstance(the.of, p.Extreme):
            order, values = self._order(the.of)
            taken = order[the.of.rank - 1 : the.of.rank - 1 + the.count]
            if len(taken) == the.count:
                ties = [i for i in order if i not in taken and abs(values[i] - values[taken[-1]]) <= SAME]
                if ties and not isinstance(the.of.by, p.Bigness | p.Smallness):
                    raise self._ambiguous(the, tuple(sorted([*taken, *ties])), the.count)
                self.trace.append(Found(selector=the.of, objects=tuple(sorted(taken))))
                return tuple(taken)
        found = self.find(the.of)
        if len(found) < the.count:
            raise NoSuchObject(self._missing(the.of, the.count))
        if len(found) > the.count:
            raise self._ambiguous(the, found, the.count)
        return found

    # Measures

    def _order(self, extreme: p.Extreme) -> tuple[list[int], dict[int, float]]:
        """The set from the largest measure on; equal sizes by how near they are to the camera, or how far.

        What others are near to is not itself among them.
        """
        found = self.find(extreme.of)
        values = self.measures(extreme.by, found)
        if isinstance(extreme.by, p.Closeness | p.Farness):
            anchors = self.some(extreme.by.to)
            alone = anchors[0] if len(anchors) == 1 else None
            found = tuple(index for index in found if index != alone)
        if isinstance(extreme.by, p.Bigness | p.Smallness):
            placed = all(self.world.scene.objects[index].location is not None for index in found)
            near = self.world.along("front" if isinstance(extreme.by, p.Bigness) else "behind") if placed else None
        else:
            near = None
        return sorted(found, key=lambda i: (-values[i], 0.0 if near is None else -near[i], i)), values

    def measures(self, by: Measure, objects: Sequence[int]) -> dict[int, float]:
        """What each object has of a measure. Raises ProgramError where one has none."""
        world = self.world
        match by:
            case p.Along(direction=direction):
                for index in objects:
                    world.point(index)
                along = world.along(direction)
                return {index: float(along[index]) for index in objects}
            case p.Closeness(to=to) | p.Farness(to=to):
                anchors = self.some(to)
                sign = 1.0 if isinstance(by, p.Farness) else -1.0
                return {index: sign * self._apart(index, anchors) for index in objects}
            case p.Centrality():
                middle = world.floor[0]
                return {index: -float(np.linalg.norm(world.point(index)[:2] - middle)) for index in objects}
            case p.Bigness():
                return {index: world.bigness(index) for index in objects}
            case p.Smallness():
                return {index: -world.bigness(index) for index in objects}
            case _:
                raise ProgramError(f"{type(by).__name__} is no measure.")

    def _apart(self, index: int, anchors: Objects) -> float:
        """From an object to the nearest other of several; 0 where there is no other."""
        others = [other for other in anchors if other != index]
        return min((self.world.distance(index, other) for other in others), default=0.0)

    # Messages

    def _ambiguous(self, selector: Selector, found: Objects, count: int) -> AmbiguousReference:
        meant = "one is" if count == 1 else f"{number_word(count)} are"
        listed = "; ".join(f"{place}. {words}" for place, words in enumerate(self.described(found), start=1))
        said = objects_of(selector.of if isinstance(selector, p.The) else selector)
        return AmbiguousReference(
            f"{len(found)} objects are {said} and {meant} meant: {listed}.", candidates=found, selector=selector
        )

    def described(self, objects: Sequence[int]) -> list[str]:
        return descriptions(self.world.scene, objects)

    def _missing(self, selector: Selector, count: int = 1) -> str:
        """What was looked for and is not there, and the nearest that is."""
        inner = selector.of if isinstance(selector, p.The) else selector
        trace = list(self.trace)  # looking for what is near leaves no trace
        near = self._near(inner)
        found = len(self.find(inner)) if count > 1 else 0
        self.trace[:] = trace
        if isinstance(inner, p.Earlier):
            return f"no object was {inner.role} earlier, or it is gone; name the object."
        said = objects_of(inner)
        lacks = f"there are no {said}" if count == 1 else f"there are not {number_word(count)} {said} but {found}"
        return f"{lacks}; {near}."

    def _near(self, selector: Selector) -> str:
        """What fits a description when one of its conditions is dropped, counted in words."""
        groups: dict[str, int] = {}
        for relaxed in _relaxed(selector):
            try:
                found = self.find(relaxed)
            except ProgramError:
                continue
            for name, size in Counter(self._group(relaxed, index) for index in found).items():
                groups.setdefault(name, size)
        if not groups:
            groups = dict(Counter(label(item) for item in self.world.scene.objects))
        if not groups:
            return "the scene is empty"
        listed = [counted(size, name) for name, size in list(groups.items())[:6]]
        more = [] if len(groups) <= 6 else ["others"]
        verb = "is" if next(iter(groups.values())) == 1 else "are"
        return f"there {verb} {joined([*listed, *more])}"

    def _group(self, relaxed: Selector, index: int) -> str:
        """An object named by the fields that were asked for, and its noun."""
        asked = {node.field for node in _conditions(relaxed) if isinstance(node, p.Where)}
        return label(self.world.scene.objects[index], [*asked, "shape", "category", "kind", "type", "class", "color"])


def _both(first: Sequence[int], second: Sequence[int]) -> list[int]:
    return [index for index in first if index in second]


def _conditions(selector: Selector) -> list[Selector]:
    """The filters of a description, outermost first."""
    found = []
    while isinstance(
        selector,
        p.Where | p.WhereSame | p.Shared | p.Related | p.Between | p.InRegion | p.Hidden | p.MoreThan,
    ):
        found.append(selector)
        selector = selector.of
    return found


def _relaxed(selector: Selector) -> list[Selector]:
    """The description without each of its conditions in turn."""
    filters = _conditions(selector)
    relaxed = []
    for dropped in range(len(filters) if len(filters) > 1 else 0):
        inner = filters[-1].of  # type: ignore[attr-defined]
        for place in reversed(range(len(filters))):
            if place != dropped:
                inner = replace(filters[place], of=inner)  # type: ignore[call-arg]
        relaxed.append(inner)
    return relaxed
