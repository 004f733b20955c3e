"""Random well-formed programs, drawn from what the dataclasses say, and scenes to run them on."""

import random
from typing import Any

from kyvo.programs.program import Edit, Everything, Extreme, Literally, Node, Program, Query, Selector, The, Where, Word
from kyvo.programs.structure import Slot, slots, usable
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.relations import CLEVR_DIRECTIONS
from kyvo.scene.scene import Scene, SceneObject
from kyvo.scene.schema import CLEVR_RADIUS, SceneSchema

CLEVR = clevr_schema()


def at(right: float, behind: float, height: float) -> tuple[float, float, float]:
    """The location so far to the right and behind of the middle of CLEVR's floor, as its camera sees it."""
    ways = CLEVR_DIRECTIONS["right"], CLEVR_DIRECTIONS["behind"]
    x, y = (right * ways[0][axis] + behind * ways[1][axis] for axis in (0, 1))
    return round(x, 6), round(y, 6), height


def thing(words: str, right: float, behind: float, **values: Any) -> SceneObject:
    """ "large red metal cube" at a place of the floor."""
    size, color, material, shape = words.split()
    location = values.pop("location", at(right, behind, CLEVR_RADIUS[size]))
    item = SceneObject(size=size, color=color, material=material, shape=shape, location=location)
    return item.with_values(**values)


ALL = Everything()


def where(of: Selector = ALL, /, **words: str) -> Selector:
    """Those of the set that have these words."""
    for field, word in words.items():
        of = Where(of=of, field=field, value=word)
    return of


def the(count: int = 1, /, **words: str) -> The:
    """The one object, or as many, with these words."""
    return The(of=where(**words), count=count)


def to(field: str, word: str) -> Literally:
    """A word that a step gives."""
    return Literally(field=field, value=word)


class Draw:
    """Draws programs of a schema. With a scene, most selectors describe objects of it, as people do."""

    def __init__(
        self, seed: int, schema: SceneSchema = CLEVR, *, scene: Scene | None = None, avoid: tuple[str, ...] = ()
    ) -> None:
        self.random = random.Random(seed)
        self.schema = schema
        self.scene = scene
        self.known = [node for node in usable(schema) if node.op not in avoid]
        self.known.sort(key=lambda node: node.op)
        self.left = 0

    def program(self, *, kinds: tuple[type[Node], ...] = (Query, Edit), nodes: int = 25) -> Program:
        self.left = nodes
        return self.node(tuple(kinds), 0)  # type: ignore[return-value]

    def node(self, fits: tuple[type[Node], ...], depth: int) -> Any:
        self.left -= 1
        known = [node for node in self.known if node in fits]
        if Everything in known and self.scene is not None and self.random.random() < 0.85:
            return self.described(self.scene, depth)
        if self.left <= 0 or depth > 8:
            least = min(self.height(node) for node in known)
            known = [node for node in known if self.height(node) == least]
        node = self.random.choice(known)
        return node(**self.values(node, depth))

    def values(self, node: type[Node], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for slot in slots(node):
            if slot.is_list:
                count = slot.least + self.random.choice((0, 0, 1, 2) if self.left > 0 else (0,))
                fillable = slot.kind != "node" or any(fit in self.known for fit in slot.fits)
                found[slot.name] = tuple(self.entry(slot, found, depth) for _ in range(count if fillable else 0))
            else:
                found[slot.name] = self.entry(slot, found, depth)
                field = getattr(found.get("first"), "field", found.get("field"))
                for _ in range(8):  # two words are of one field, mostly
                    if not isinstance(found[slot.name], Word) or field in (None, found[slot.name].field):
                        break
                    found[slot.name] = self.entry(slot, found, depth)
        return found

    def entry(self, slot: Slot, before: dict[str, Any], depth: int) -> Any:
        if slot.is_optional and (self.random.random() < 0.5 or (slot.kind == "node" and self.left <= 0)):
            return None
        match slot.kind:
            case "node":
                return self.node(slot.fits, depth + 1)
            case "choice":
                return self.random.choice(slot.choices)
            case "flag":
                return self.random.random() < 0.5
            case "whole":
                return max(slot.low, self.random.choice((0, 1, 1, 1, 2, 3, 7, 40)) - (2 if slot.low < 0 else 0))
            case "number":
                value = self.random.choice((0.5, 1.0, 1.5, 2.0, 90.0, self.random.uniform(-4, 4)))
                return round(abs(value) + 0.01 if slot.is_positive else value, 6)
            case _ if slot.is_field:
                return self.random.choice(slot.fields(self.schema))
            case _ if slot.is_word:
                return self.random.choice(self.schema.field(before["field"]).words)
            case _:
                return self.random.choice(("cubes", "red", "two words", "it's", "a"))

    def described(self, scene: Scene, depth: int) -> Selector:
        """A set by words of one of its objects, mostly with "the" where it is alone, or an extreme one."""
        words = {field.name: self.random.choice(field.words) for field in self.schema.word_fields}
        if scene.objects and self.random.random() < 0.9:
            item = self.random.choice(scene.objects)
            words = {name: item.get(name) for name in words if item.get(name)}
        chosen = {name: word for name, word in words.items() if self.random.random() < 0.5}
        of: Selector = Everything()
        for name, word in chosen.items():
            of = Where(of=of, field=name, value=word)
        fit = sum(all(item.get(name) == word for name, word in chosen.items()) for item in scene.objects)
        if fit == 1 and self.random.random() < 0.8:
            return The(of=of)
        if self.random.random() < 0.4 and depth < 6:
            measures = next(slot.fits for slot in slots(Extreme) if slot.name == "by")
            return The(of=Extreme(of=of, by=self.node(measures, depth + 1)))
        return of

    def height(self, node: type[Node]) -> int:
        """How many levels of nodes a node needs below it."""
        if node not in _HEIGHTS:
            parts = [slot for slot in slots(node) if slot.kind == "node" and not slot.is_optional]
            _HEIGHTS[node] = 1 + max(
                (
                    min(self.height(fit) for fit in slot.fits if node not in fit.__mro__ and not _loops(fit, node))
                    for slot in parts
                ),
                default=0,
            )
        return _HEIGHTS[node]


_HEIGHTS: dict[type[Node], int] = {}


def _loops(fit: type[Node], node: type[Node]) -> bool:
    """Whether a kind of node could hold itself without end; the leaves of its kind do not."""
    return any(slot.kind == "node" and not slot.is_optional and fit in slot.fits for slot in slots(fit))


def random_scene(seed: int, *, most: int = 8) -> Scene:
    """Objects of CLEVR on its floor, some of them alike, none inside another."""
    draw = random.Random(seed)
    objects: list[SceneObject] = []
    for _ in range(draw.randint(0, most)):
        words: dict[str, Any] = {field.name: draw.choice(field.words[:3]) for field in CLEVR.word_fields}
        for _ in range(20):
            place = (round(draw.uniform(-2.8, 2.8), 4), round(draw.uniform(-2.8, 2.8), 4), CLEVR_RADIUS[words["size"]])
            if all(((a.location[0] - place[0]) ** 2 + (a.location[1] - place[1]) ** 2) > 2.1 for a in objects):  # type: ignore[index]
                objects.append(SceneObject(location=place, **words))
                break
    return Scene(objects=tuple(objects))
