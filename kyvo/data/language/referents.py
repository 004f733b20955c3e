"""Descriptions of objects: "the red cube to the left of the large sphere", as plain data, resolved in a scene.

A description is JSON: attributes that must agree, and at most one relation to an object that is itself described,
as in `{"color": "red", "shape": "cube", "relation": "left", "of": {"size": "large", "shape": "sphere"}}`.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from kyvo.errors import SceneError
from kyvo.scene.relations import RELATIONS, relationships
from kyvo.scene.scene import Scene

ATTRIBUTES = ("size", "color", "material", "shape")  # in the order in which English names them
RELATION_WORDS = {
    "left": "to the left of",
    "right": "to the right of",
    "front": "in front of",
    "behind": "behind",
}
_SUBSETS = [names for count in range(len(ATTRIBUTES) + 1) for names in combinations(ATTRIBUTES, count)]

Description = Mapping[str, Any]


def noun(description: Description) -> str:
    """The attributes in words, without an article: "large red object"."""
    words = [description[name] for name in ATTRIBUTES[:-1] if name in description]
    return " ".join([*words, description.get("shape", "object")])


def describe(description: Description) -> str:
    """The description in words: "the red cube to the left of the large sphere"."""
    words = f"the {noun(description)}"
    if "relation" not in description:
        return words
    return f"{words} {RELATION_WORDS[description['relation']]} {describe(description['of'])}"


def resolve(description: Description, scene: Scene) -> int:
    """The index of the one object that is described.

    Raises SceneError when none or several are, or for a description that does not hold together.
    """
    found = find(description, scene)
    if len(found) == 1:
        return found[0]
    count = f"{len(found)} objects ({', '.join(map(str, found))})" if found else f"none of {len(scene)} objects"
    raise SceneError(
        f"{describe(description)!r} fits {count}; exactly one must fit. "
        + ("Say more of it, or where it stands." if found else "Name only what the scene has.")
    )


def find(description: Description, scene: Scene) -> list[int]:
    """The ascending indices of all objects that are described. Raises SceneError as `resolve` does."""
    for name in description:
        if name not in (*ATTRIBUTES, "relation", "of"):
            raise SceneError(f"a description has no {name!r}; it has {', '.join(ATTRIBUTES)}, relation and of.")
    if ("relation" in description) != ("of" in description):
        raise SceneError("a description has `relation` and `of` both or neither.")
    wanted = {name: description[name] for name in ATTRIBUTES if name in description}
    indices = range(len(scene))
    if "relation" in description:
        if description["relation"] not in RELATIONS:
            raise SceneError(f"relation is {description['relation']!r}; known are {', '.join(RELATIONS)}.")
        indices = relationships(scene)[description["relation"]][resolve(description["of"], scene)]
    return [i for i in indices if all(scene.objects[i].get(name) == value for name, value in wanted.items())]


def unique_descriptions(scene: Scene) -> list[list[dict[str, Any]]]:
    """For each object, every choice of its attributes that no other object shares."""
    found: list[list[dict[str, Any]]] = [[] for _ in scene.objects]
    rows = [{name: item.get(name) for name in ATTRIBUTES} for item in scene.objects]
    for names in _SUBSETS:
        values = [tuple(row[name] for name in names) for row in rows]
        counts = Counter(values)
        for index, words in enumerate(values):
            if counts[words] == 1:
                found[index].append(dict(zip(names, words, strict=True)))
    return found


def draw_related(scene: Scene, rng: np.random.Generator) -> tuple[int, dict[str, Any]] | None:
    """An object's index and a description that only its relation makes unique; None when the scene has none."""
    anchors = [(i, choices) for i, choices in enumerate(unique_descriptions(scene)) if choices]
    related = relationships(scene)
    for target in rng.permutation(len(scene)).tolist():
        item = scene.objects[target]
        places = [
            (set(related[relation][index]), relation, choices)
            for relation in RELATIONS
            for index, choices in anchors
            if target in related[relation][index]
        ]
        names_of = [_SUBSETS[i] for i in rng.permutation(len(_SUBSETS)).tolist()]
        order = rng.permutation(len(places)).tolist()
        for names in names_of:
            alike = {i for i, other in enumerate(scene.objects) if all(other.get(n) == item.get(n) for n in names)}
            if len(alike) == 1:
                continue
            for there, relation, choices in (places[i] for i in order):
                if alike & there == {target}:
                    anchor = choices[rng.integers(len(choices))]
                    return target, {**{name: item.get(name) for name in names}, "relation": relation, "of": anchor}
    return None
