"""`Clarification`: a text that could mean several objects, and the answer to "which one do you mean?"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kyvo.programs.errors import AmbiguousReference, NotUnderstood, ProgramError
from kyvo.programs.parsing import Parsed, Parser, Turn, carried_out
from kyvo.programs.program import Edit, Either, Numbered, Program, Remove, Selector
from kyvo.programs.selecting import Finder
from kyvo.programs.structure import rewritten
from kyvo.programs.world import World
from kyvo.scene.scene import Scene, SceneObject
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


_NONE = {"neither", "none", "none of them", "none of these", "neither of them", "no", "no one", "nothing", "cancel",
         "never mind", "nevermind", "forget it", "stop", "skip", "skip it"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Clarification:
    """What waits for an answer: the program, and the candidates of one of its selectors."""

    text: str
    program: Program
    scene: Scene
    selector: Selector  # the part of the program that fits several objects
    candidates: tuple[int, ...]  # indices of objects, as they were numbered for the user: 1 is the first
    objects: tuple[SceneObject, ...]  # the candidates themselves

    @classmethod
    def of(cls, text: str, program: Program, scene: Scene, error: AmbiguousReference) -> "Clarification":
        """What waits after this error."""
        return cls(
            text=text,
            program=program,
            scene=scene,
            selector=error.selector,
            candidates=error.candidates,
            objects=error.objects or tuple(scene.objects[index] for index in error.candidates),
        )

    def narrowed(self, error: AmbiguousReference) -> "Clarification":
        """The same with fewer candidates: those that a reply left."""
        kept = tuple(self.objects[self.candidates.index(index)] for index in error.candidates)
        return replace(self, candidates=error.candidates, objects=kept)

    @staticmethod
    def is_declined(reply: str) -> bool:
        """Whether a reply says that none of the candidates is meant."""
        return reply.lower().strip(" .!?") in _NONE

    def answered(
        self, reply: str, schema: SceneSchema, parser: Parser, dialogue: Sequence[Turn] = ()
    ) -> Program | None:
        """The program with the objects that the reply picks: "2", "the left one", "both". None for another text.

        Raises:
            AmbiguousReference: a description fits several of the candidates, which are the new ones.
            NoSuchObject: it fits none of them.
            NotUnderstood: the number is none of theirs, or the reply is "neither", so that nothing is to be done.
        """
        words = reply.lower().strip(" .!?")
        if self.is_declined(reply):
            raise NotUnderstood(f"None of the {len(self.candidates)} is meant, so nothing is done.")
        chosen = self._by_number(words) or self._by_words(words, schema, parser, dialogue)
        if not chosen:
            return None
        picked: Selector = Numbered(index=chosen[0])
        for index in chosen[1:]:
            picked = Either(first=picked, second=Numbered(index=index))
        return _substituted(self.program, self.selector, picked)

    def _by_number(self, words: str) -> tuple[int, ...]:
        if words in _ALL:
            return self.candidates
        parts = [part for part in re.split(r"\s*(?:,|\band\b|&)\s*", words) if part]
        numbers = [number for part in parts if (number := _number(part)) is not None]
        if not numbers or len(numbers) < len(parts):
            return ()
        if wrong := [number for number in numbers if not 1 <= number <= len(self.candidates)]:
            raise NotUnderstood(f"there is no number {wrong[0]}; the numbers go from 1 to {len(self.candidates)}.")
        return tuple(dict.fromkeys(self.candidates[number - 1] for number in numbers))

    def _by_words(self, words: str, schema: SceneSchema, parser: Parser, dialogue: Sequence[Turn]) -> tuple[int, ...]:
        """A description is read as one of the candidates: "the left one" is the leftmost of them."""
        try:  # "the left one" is of the candidates, and not of the text that waits
            program = parser.parse(f"remove {words}", schema, carried_out(dialogue)).program
        except ProgramError:
            return ()
        if not (isinstance(program, Edit) and len(program.steps) == 1 and isinstance(program.steps[0], Remove)):
            return ()
        alone = replace(self.scene, objects=self.objects)
        try:
            found = Finder(World(alone, schema), ()).find(program.steps[0].of)
        except AmbiguousReference as error:
            left = [self.candidates[index] for index in error.candidates]
            raise AmbiguousReference(str(error), candidates=left, selector=self.selector) from None
        return tuple(self.candidates[index] for index in found)


def parse_reply(
    text: str,
    parser: Parser,
    schema: SceneSchema,
    dialogue: Sequence[Turn] = (),
    waiting: Clarification | None = None,
) -> tuple[str, Parsed]:
    """The text and what the parser makes of it; or the waiting text, with the objects that this one picks.

    Raises ProgramError for what the parser does not understand.
    """
    picked = None if waiting is None else waiting.answered(text, schema, parser, dialogue)
    if waiting is not None and picked is not None:
        return waiting.text, Parsed(program=picked)
    return text, parser.parse(text, schema, dialogue)


def _number(words: str) -> int | None:
    """1 for "1", "number 1", "the first one"."""
    match = re.fullmatch(r"(?:the |number |no\.? |#|\()*(\w+)\)?(?: one| object)?", words)
    if match is None:
        return None
    return int(match[1]) if match[1].isdecimal() else _ORDINALS.get(match[1])


def _substituted(program: AnyProgram, old: Selector, new: Selector) -> AnyProgram:
    """The program with every `old` in it replaced."""
    return rewritten(program, lambda node: new if node == old else node)
