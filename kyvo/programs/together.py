"""`Meant`: what the descriptions of a `Together` mean before its first step, kept while its steps change the scene."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from kyvo.programs.asking import Asker
from kyvo.programs.errors import ProgramError
from kyvo.programs.program import Earlier, Literally, Node, Place, Selector, Step, Word
from kyvo.programs.world import Objects


@dataclass(frozen=True, kw_only=True)
class Meant:
    """Descriptions and words that mean something already."""

    objects: Mapping[Selector, Objects] = field(default_factory=dict)
    words: Mapping[Word, str] = field(default_factory=dict)

    def now(self, index_now: Callable[[int], int | None]) -> "Meant":
        """The same with the indices that the objects have now; those that are gone have none."""
        moved = {of: tuple(map(index_now, found)) for of, found in self.objects.items()}
        kept = {of: tuple(index for index in found if index is not None) for of, found in moved.items()}
        return Meant(objects=kept, words=self.words)


def meant_by(steps: Sequence[Step], asker: Asker) -> Meant:
    """What the descriptions and words of the steps mean in the asker's scene.

    What fits nothing there, or speaks of earlier objects, is left open.
    """
    objects: dict[Selector, Objects] = {}
    words: dict[Word, str] = {}
    for node in descriptions(steps):
        try:
            if isinstance(node, Selector):
                objects[node] = asker.finder.some(node)
            else:
                words[node] = asker.word(node)
        except ProgramError:
            continue
    return Meant(objects=objects, words=words)


def descriptions(node: Any) -> Iterator[Selector | Word]:
    """The outermost descriptions and words of steps that speak of no earlier objects."""
    if isinstance(node, Selector | Word):
        if not isinstance(node, Literally) and not _speaks_of_earlier(node):
            yield node
    elif isinstance(node, Step | Place):
        for entry in fields(node):
            yield from descriptions(getattr(node, entry.name))
    elif isinstance(node, tuple):
        for one in node:
            yield from descriptions(one)


def _speaks_of_earlier(node: Any) -> bool:
    if isinstance(node, tuple):
        return any(map(_speaks_of_earlier, node))
    if not isinstance(node, Node):
        return False
    return isinstance(node, Earlier) or any(_speaks_of_earlier(getattr(node, entry.name)) for entry in fields(node))
