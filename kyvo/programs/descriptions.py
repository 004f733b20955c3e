"""Words for the objects of a scene: a description that fits one of them alone, and a label with all its words."""

from collections.abc import Sequence
from itertools import combinations, pairwise

from kyvo.programs.english import ADJECTIVES, NOUNS, RANKS, Noun, with_word
from kyvo.scene.relations import directions
from kyvo.scene.scene import Scene, SceneObject


def describe(scene: Scene, index: int) -> str:
    """A few words that no other object of the scene has: "the small red cube", "the red cube at the left"."""
    return descriptions(scene, [index])[0]


def descriptions(scene: Scene, indices: Sequence[int]) -> list[str]:
    """`describe` for several objects: "the large red metal cube at the left", numbered by nobody yet.

    As few words as tell an object from all others; where words do not, where it stands among those that share them.
    """
    return [_description(scene, index) for index in indices]


def label(item: SceneObject, fields: Sequence[str] | None = None) -> str:
    """The object's words, without an article: "large red metal cube"; those of `fields` where they are given."""
    noun = Noun()
    for field, value in _words(item).items():
        if fields is None or field in fields:
            noun = with_word(noun, field, value)
    return noun.say(plural=False)


def _words(item: SceneObject) -> dict[str, str]:
    """Its words, the noun last; a user schema's own fields among them."""
    own = [name for name, value in item.extra.items() if isinstance(value, str)]
    names = [*ADJECTIVES, *(name for name in own if name not in NOUNS), *(name for name in NOUNS)]
    found = {name: item.get(name) for name in names if isinstance(item.get(name), str)}
    nouns = [name for name in NOUNS if name in found]
    return {name: value for name, value in found.items() if name not in nouns[1:]}  # one noun is enough


def _description(scene: Scene, index: int) -> str:
    item = scene.objects[index]
    words = _words(item)
    nouns = [name for name in words if name in NOUNS]
    others = [name for name in words if name not in NOUNS]
    rows = [_words(other) for other in scene.objects]
    for count in range(len(others) + 1):
        for chosen in combinations(others, count):
            names = [*chosen, *nouns]
            if sum(all(row.get(name) == words[name] for name in names) for row in rows) == 1:
                return f"the {label(item, names)}"
    alike = [place for place, row in enumerate(rows) if row == words]
    return f"the {label(item)} {_standing(scene, index, alike)}"


def _standing(scene: Scene, index: int, alike: Sequence[int]) -> str:
    """What place tells an object from those with the same words."""
    known = [place for place in alike if scene.objects[place].location is not None]
    if index in known and len(known) > 1:
        for direction, words in _CORNERS.items():
            order = _along(scene, known, direction)
            if order[0][1] == index and order[0][0] - order[1][0] > 0.05:
                return words
        order = _along(scene, known, "left")
        place = [number for _, number in order].index(index)
        if all(abs(a[0] - b[0]) > 0.05 for a, b in pairwise(order)) and place < len(RANKS):
            return f"that is {RANKS[place + 1].strip()} from the left"
    return f"with number {index + 1}"


_CORNERS = {"left": "at the left", "right": "at the right", "front": "at the front", "behind": "at the back",
            "above": "at the top", "below": "at the bottom"}  # fmt: skip


def _along(scene: Scene, indices: Sequence[int], direction: str) -> list[tuple[float, int]]:
    """The objects by how far they stand in a direction, farthest first."""
    way = directions(scene)[direction]
    reach = {i: sum(a * b for a, b in zip(scene.objects[i].location or (), way, strict=True)) for i in indices}
    return sorted(((value, i) for i, value in reach.items()), reverse=True)
