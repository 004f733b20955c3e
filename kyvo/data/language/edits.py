"""Edits of CLEVR scenes: an instruction, its program, and the scene before and after.

A program is plain data that `execute` applies to a scene:

    {"operation": "change", "target": D, "attribute": "color", "value": "red"}
    {"operation": "add", "object": {size, color, material, shape}, "direction": "left", "distance": 1.5, "of": D}
    {"operation": "remove", "target": D}
    {"operation": "move", "target": D, "direction": "left", "distance": 1.5}            from where it stands
    {"operation": "move", "target": D, "direction": "left", "distance": 1.5, "of": D}   from another object

where D describes one object (`kyvo.data.language.referents`). The kinds are the paper's five (https://arxiv.org/abs/2506.08002,
section 3), which leaves open where a new or moved object stands; here the program says it, so that a prediction can be
scored: from the centre of the object it names, on the schema's grid, go `distance` along the scene's direction and take
the nearest point of the grid. So a scene and its tokens (`SceneSchema.snap`) are edited alike.
A new object stands square to the axes (rotation 0). One that changes its size stays in place and on the floor.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from kyvo.data.clevr.sampling import CLEVR_RULES, ClevrRules, all_visible, footprints, is_clear, is_free, pixel_coords
from kyvo.data.language.edit_phrases import KINDS, WORDS, phrase
from kyvo.data.language.referents import ATTRIBUTES, draw_related, resolve, unique_descriptions
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.fields import Axis
from kyvo.scene.relations import RELATIONS, directions, relationships
from kyvo.scene.scene import Scene, SceneObject, Vector
from kyvo.scene.schema import CLEVR_RADIUS

STEP = 0.05  # clevr units; of the grid on which new and moved objects stand, the paper's best
DISTANCES = tuple(quarters / 4 for quarters in range(2, 13))  # 0.5 to 3 clevr units, those that are drawn
MAX_ROUNDS = 10  # edits of one scene drawn until all objects are in view

Program = dict[str, Any]
Choice = TypeVar("Choice")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """`execute(program, source) == target` and `parse(instruction) == program`."""

    kind: str  # of KINDS
    instruction: str
    program: Mapping[str, Any]
    source: Scene
    target: Scene


def execute(program: Mapping[str, Any], scene: Scene) -> Scene:
    """The scene after the edit: its camera and lamps, its objects in their order, a new one last.

    Untouched objects are the same ones. `pixel_coords` of a touched object and the scene's `relationships`, where it
    has them, are made anew; `image` goes, for it shows the scene before. Whether objects meet is not asked.
    Raises SceneError for a program that does not hold together, a description that fits none or several objects, and
    a place outside the schema's bins.
    """
    operation = program.get("operation")
    if operation not in _NEEDED:
        raise SceneError(f"operation is {operation!r}; known are {', '.join(_NEEDED)}.")
    missing = [name for name in _NEEDED[operation] if name not in program]
    if missing:
        raise SceneError(f"{operation} needs {', '.join(_NEEDED[operation])}; {', '.join(missing)} is missing.")
    if operation == "add":
        return _with_objects(scene, (*scene.objects, _added(program, scene)))
    index = _resolve(program, "target", scene)
    item = scene.objects[index]
    changed = () if operation == "remove" else (_OPERATIONS[operation](program, scene, item),)
    return _with_objects(scene, (*scene.objects[:index], *changed, *scene.objects[index + 1 :]))


def sample_edit(
    scene: Scene, rng: np.random.Generator, *, kind: str | None = None, rules: ClevrRules = CLEVR_RULES
) -> Edit | None:
    """An edit of this scene, of any kind or of `kind`; None when none was found.

    The target keeps the rules' numbers of objects, floor, gap and margin, but for the margin across the direction in
    which an object was placed from another: these two stand in line. Whether the camera sees all is not asked.
    Raises ConfigError for an unknown kind.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"{kind!r} is no kind of edit; known are {', '.join(KINDS)}.")
    for name in _shuffled(KINDS, rng) if kind is None else (kind,):
        program = _SAMPLERS[name](scene, rng, rules)
        if program is not None:
            instruction, target = phrase(program, rng), execute(program, scene)
            return Edit(kind=name, instruction=instruction, program=program, source=scene, target=target)
    return None


def sample_edits(
    scenes: Sequence[Scene],
    chances: Sequence[np.random.Generator],
    *,
    kind: str | None = None,
    rules: ClevrRules = CLEVR_RULES,
) -> list[Edit | None]:
    """`sample_edit` for each scene with its own generator, with all objects of the target in view.

    None where no edit was found, or none in view.
    """
    edits: list[Edit | None] = [None] * len(scenes)
    waiting = list(range(len(scenes)))
    for _ in range(MAX_ROUNDS):
        drawn = {index: sample_edit(scenes[index], chances[index], kind=kind, rules=rules) for index in waiting}
        found = {index: edit for index, edit in drawn.items() if edit is not None}
        seen = all_visible([edit.target for edit in found.values()], rules)
        waiting = [index for index, shown in zip(found, seen, strict=True) if not shown]
        for index in found.keys() - set(waiting):
            edits[index] = found[index]
    return edits


# Executing


def edited_object(program: Mapping[str, Any], scene: Scene) -> int:
    """The index of the object that an edit changes, moves or removes, or beside which it puts a new one.

    Raises SceneError for a program without one, and as `kyvo.data.language.referents.resolve` does.
    """
    role = "of" if program.get("operation") == "add" else "target"
    if role not in program:
        raise SceneError(f"the program of an edit has no {role!r}: {dict(program)}.")
    return _resolve(program, role, scene)


def anchor_object(program: Mapping[str, Any], scene: Scene) -> int:
    """The index of the object from whose place a new or moved one is placed; a moved one's own, where it names none.

    Raises SceneError as `edited_object` does.
    """
    return _resolve(program, "of", scene) if "of" in program else edited_object(program, scene)


def _changed(program: Mapping[str, Any], scene: Scene, item: SceneObject) -> SceneObject:
    name, value = program["attribute"], program["value"]
    if name not in WORDS or value not in WORDS[name]:
        known = "; ".join(f"{attribute}: {', '.join(words)}" for attribute, words in WORDS.items())
        raise SceneError(f"{name} can not become {value!r}; known are {known}.")
    item = item.with_values(**{name: value})
    if name != "size" or item.location is None:
        return item
    return _at((*item.location[:2], CLEVR_RADIUS[value]), item, scene)


def _moved(program: Mapping[str, Any], scene: Scene, item: SceneObject) -> SceneObject:
    start = scene.objects[anchor_object(program, scene)].location
    if item.location is None or start is None:
        raise SceneError("move: an object without a location can not be moved, nor others to it.")
    return _at((*_place(program, scene, start), item.location[2]), item, scene)


def _added(program: Mapping[str, Any], scene: Scene) -> SceneObject:
    values = {name: program["object"].get(name) for name in ATTRIBUTES}
    for name, value in values.items():
        if value not in WORDS[name]:
            raise SceneError(f"object.{name} is {value!r}; known are {', '.join(WORDS[name])}.")
    start = scene.objects[_resolve(program, "of", scene)].location
    if start is None:
        raise SceneError("add: the object beside which another shall stand has no location.")
    place = _place(program, scene, start)
    item = SceneObject().with_values(**values, rotation=0.0, pixel_coords=None)
    return _at((*place, CLEVR_RADIUS[values["size"]]), item, scene)


_NEEDED = {
    "change": ("target", "attribute", "value"),
    "add": ("object", "direction", "distance", "of"),
    "remove": ("target",),
    "move": ("target", "direction", "distance"),
}
_OPERATIONS = {"change": _changed, "move": _moved}


def _resolve(program: Mapping[str, Any], role: str, scene: Scene) -> int:
    try:
        return resolve(program[role], scene)
    except SceneError as error:
        raise SceneError(f"{role}: {error}") from error


def _place(program: Mapping[str, Any], scene: Scene, origin: Vector) -> tuple[float, float]:
    direction, distance = program["direction"], program["distance"]
    if direction not in RELATIONS:
        raise SceneError(f"direction is {direction!r}; known are {', '.join(RELATIONS)}.")
    if not isinstance(distance, int | float) or not 0 < distance < math.inf:
        raise SceneError(f"distance is {distance!r}; a number of units above 0 is needed.")
    try:
        x, y = _candidate_locations(scene, origin, direction, np.array([float(distance)]))[0].tolist()
        for axis, value in zip(_floor(), (x, y), strict=True):
            axis.snap(value)
    except SceneError as error:
        raise SceneError(f"direction {direction}, distance {distance:g}: {error}") from error
    return x, y


def _candidate_locations(
    scene: Scene, origin: Vector, direction: str, distances: Float[np.ndarray, " tries"]
) -> Float[np.ndarray, "tries 2"]:
    """The points of the grid nearest to those at `distances` from `origin`, itself taken to the grid."""
    start = [axis.snap(value) for axis, value in zip(_floor(), origin, strict=False)]
    there = np.asarray(start) + distances[:, None] * np.asarray(directions(scene)[direction][:2])
    return (np.round(there / STEP) * STEP).round(6) + 0.0  # no -0.0


@cache
def _floor() -> tuple[Axis, Axis]:
    x, y, _ = clevr_schema(STEP).field("location").axes
    return x, y


def _at(location: Vector, item: SceneObject, scene: Scene) -> SceneObject:
    """The object there; its `pixel_coords`, if it has them, follow, or go where no camera says them."""
    extra = {key: value for key, value in item.extra.items() if key != "pixel_coords"}
    if "pixel_coords" in item.extra and scene.camera is not None:
        extra["pixel_coords"] = pixel_coords(scene.camera, location)
    return replace(item, location=location, extra=extra)


def _with_objects(scene: Scene, objects: tuple[SceneObject, ...]) -> Scene:
    edited = replace(scene, objects=objects, image=None)
    if "relationships" not in scene.extra:
        return edited
    return replace(edited, extra={**scene.extra, "relationships": relationships(edited)})


# Sampling: each gives a program whose target keeps the rules, or None


def _sample_change(scene: Scene, rng: np.random.Generator, rules: ClevrRules) -> Program | None:
    for index, description in _targets(scene, rng):
        program = _change_of(index, description, scene, rng, rules)
        if program is not None:
            return program
    return None


def _sample_related_change(scene: Scene, rng: np.random.Generator, rules: ClevrRules) -> Program | None:
    found = draw_related(scene, rng)
    return None if found is None else _change_of(*found, scene, rng, rules)


def _change_of(
    index: int, description: Program, scene: Scene, rng: np.random.Generator, rules: ClevrRules
) -> Program | None:
    item = scene.objects[index]
    for name in _shuffled(ATTRIBUTES, rng):
        value = _pick([word for word in WORDS[name] if word != item.get(name)], rng)
        if name not in ("size", "shape") or _fits(item.with_values(**{name: value}), index, scene, rules):
            return {"operation": "change", "target": description, "attribute": name, "value": value}
    return None


def _sample_add(scene: Scene, rng: np.random.Generator, rules: ClevrRules) -> Program | None:
    if len(scene) >= rules.max_objects:
        return None
    values = {name: _pick(WORDS[name], rng) for name in ATTRIBUTES}
    for anchor, description in _targets(scene, rng):
        place = _free_place(SceneObject().with_values(**values), None, anchor, scene, rng, rules)
        if place is not None:
            return {"operation": "add", "object": values, **place, "of": description}
    return None


def _sample_remove(scene: Scene, rng: np.random.Generator, rules: ClevrRules) -> Program | None:
    found = draw_related(scene, rng) if len(scene) > rules.min_objects else None
    return None if found is None else {"operation": "remove", "target": found[1]}


def _sample_move(scene: Scene, rng: np.random.Generator, rules: ClevrRules) -> Program | None:
    from_another = bool(rng.integers(2))
    for index, target in _targets(scene, rng):
        for origin, description in _targets(scene, rng) if from_another else [(index, target)]:
            if from_another and origin == index:
                continue
            place = _free_place(scene.objects[index], index, origin, scene, rng, rules)
            if place is not None:
                return {"operation": "move", "target": target, **place} | ({"of": description} if from_another else {})
    return None


_SAMPLERS = {
    "change": _sample_change,
    "change_related": _sample_related_change,
    "add": _sample_add,
    "remove": _sample_remove,
    "move": _sample_move,
}


def _targets(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[int, Program]]:
    """The objects that their attributes alone tell from the others, in random order, each with a description."""
    choices = unique_descriptions(scene)
    for index in _shuffled([index for index, known in enumerate(choices) if known], rng):
        yield index, _pick(choices[index], rng)


def _fits(item: SceneObject, index: int, scene: Scene, rules: ClevrRules) -> bool:
    """Whether the object `index`, as this one, keeps the gap to the others where it stands."""
    here = np.array([item.location[:2]])  # type: ignore[index]
    others = footprints((*scene.objects[:index], *scene.objects[index + 1 :]))
    solid = {"radius": CLEVR_RADIUS[item.size], "rotation": item.extra.get("rotation", 0.0)}  # type: ignore[index]
    return bool(is_free(here, **solid, is_cube=item.shape == "cube", others=others, gap=rules.gap)[0])


def _free_place(
    item: SceneObject, index: int | None, origin: int, scene: Scene, rng: np.random.Generator, rules: ClevrRules
) -> Program | None:
    """A direction and distance from the object `origin` at which this one fits; its own index, if the scene has it."""
    start = scene.objects[origin].location
    assert start is not None
    candidates = np.concatenate(
        [_candidate_locations(scene, start, direction, np.array(DISTANCES)) for direction in RELATIONS]
    )
    others = footprints([other for i, other in enumerate(scene.objects) if i != index])
    unaligned = footprints([other for i, other in enumerate(scene.objects) if i not in (index, origin)])
    solid = {"radius": CLEVR_RADIUS[item.size], "rotation": item.extra.get("rotation", 0.0)}  # type: ignore[index]
    free = is_free(candidates, **solid, is_cube=item.shape == "cube", others=others, gap=rules.gap)
    axes = np.array([directions(scene)[name][:2] for name in ("right", "behind")]).T
    free &= is_clear(candidates, others=unaligned, axes=axes, margin=rules.margin)
    free &= (np.abs(candidates) <= rules.floor).all(1)
    if not free.any():
        return None
    way, far = divmod(_pick(np.flatnonzero(free).tolist(), rng), len(DISTANCES))
    return {"direction": RELATIONS[way], "distance": DISTANCES[far]}


def _pick(choices: Sequence[Choice], rng: np.random.Generator) -> Choice:
    return choices[int(rng.integers(len(choices)))]


def _shuffled(choices: Sequence[Choice], rng: np.random.Generator) -> list[Choice]:
    return [choices[i] for i in rng.permutation(len(choices)).tolist()]
