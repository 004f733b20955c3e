"""`Clarification`: a text that could mean several objects, and the answer to "which one do you mean?"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from kyvo.programs.errors import AmbiguousReference, ProgramError
from kyvo.programs.parsing import Parser, Turn
from kyvo.programs.program import Edit, Either, Numbered, Program, Remove, Selector
from kyvo.programs.selecting import Finder
from kyvo.programs.world import World
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

AnyProgram = TypeVar("AnyProgram", bound=Program)

_ALL = {"both", "all", "all of them", "both of them", "any", "each", "every one", "all of these", "both of these"}
_ORDINALS = {
    word: number
    for number, words in enumerate(
        ("one first 1st", "two second 2nd", "three third 3rd", "four fourth 4th", "five fifth 5th",
         "six sixth 6th", "seven seventh 7th", "eight eighth 8th", "nine ninth 9th", "ten tenth 10th"), start=1,
    )
    for word in words.split()
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Clarification:
    """What waits for an answer: the program, and the candidates of one of its selectors."""

    text: str
    program: Program
    selector: Selector  # the part of it that fits several objects
    candidates: tuple[int, ...]  # indices of objects, as they were numbered for the user: 1 is the first

    @classmethod
    def of(cls, text: str, program: Program, error: AmbiguousReference) -> "Clarification":
        """What waits after this error."""
        return cls(text=text, program=program, selector=error.selector, candidates=error.candidates)

    def answered(
        self, reply: str, scene: Scene, schema: SceneSchema, parser: Parser, dialogue: Sequence[Turn] = ()
    ) -> Program | None:
        """The program with the objects that the reply picks: "2", "the left one", "both". None where it picks none."""
        chosen = self._by_number(reply) or self._by_words(reply, scene, schema, parser, dialogue)
        if not chosen:
            return None
        picked: Selector = Numbered(index=chosen[0])
        for index in chosen[1:]:
            picked = Either(first=picked, second=Numbered(index=index))
        return _substituted(self.program, self.selector, picked)

    def _by_number(self, reply: str) -> tuple[int, ...]:
        words = reply.lower().strip(" .!?")
        if words in _ALL:
            return self.candidates
        parts = re.split(r"\s*(?:,|\band\b|&)\s*", words)
        numbers = [_number(part) for part in parts if part]
        if not numbers or None in numbers:
            return ()
        if not all(number is not None and 1 <= number <= len(self.candidates) for number in numbers):
            return ()
        return tuple(dict.fromkeys(self.candidates[number - 1] for number in numbers if number is not None))

    def _by_words(
        self, reply: str, scene: Scene, schema: SceneSchema, parser: Parser, dialogue: Sequence[Turn]
    ) -> tuple[int, ...]:
        """A description is read as one of the candidates: "the left one" is the leftmost of them."""
        try:
            program = parser.parse(f"remove {reply.strip(' .!?')}", schema, dialogue).program
        except ProgramError:
            return ()
        if not (isinstance(program, Edit) and len(program.steps) == 1 and isinstance(program.steps[0], Remove)):
            return ()
        alone = replace(scene, objects=tuple(scene.objects[index] for index in self.candidates))
        try:
            found = Finder(World(alone, schema), ()).find(program.steps[0].of)
        except ProgramError:
            return ()
        return tuple(self.candidates[index] for index in found)


def _number(words: str) -> int | None:
    """1 for "1", "number 1", "the first one"."""
    match = re.fullmatch(r"(?:the |number |no\.? |#|\()*(\w+)\)?(?: one| object)?", words)
    if match is None:
        return None
    return int(match[1]) if match[1].isdecimal() else _ORDINALS.get(match[1])


def _substituted(node: Any, old: Selector, new: Selector) -> Any:
    """The program with every `old` in it replaced."""
    if node == old:
        return new
    if isinstance(node, tuple):
        return tuple(_substituted(entry, old, new) for entry in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    return replace(node, **{entry.name: _substituted(getattr(node, entry.name), old, new) for entry in fields(node)})
