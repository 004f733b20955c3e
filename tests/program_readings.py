"""Short ways to write programs in tests, and to read texts."""

from typing import Any

from kyvo.programs.grammar.parser import GrammarParser
from kyvo.programs.parsing import Parsed, Turn
from kyvo.programs.program import (
    Along,
    Edit,
    Everything,
    Extreme,
    Literally,
    Program,
    Query,
    Related,
    Selector,
    Set,
    Step,
    The,
    Where,
)
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.schema import SceneSchema

CLEVR = clevr_schema()
FIELDS = {word: field.name for field in CLEVR.fields for word in field.words}
PARSER = GrammarParser()


def parsed(text: str, *turns: Turn, schema: SceneSchema = CLEVR) -> Parsed:
    return PARSER.parse(text, schema, turns)


def program(text: str, *turns: Turn, schema: SceneSchema = CLEVR) -> Program:
    return parsed(text, *turns, schema=schema).program


def some(words: str = "", of: Selector | None = None) -> Selector:
    """ "red cube": the words of CLEVR that objects have."""
    of = of or Everything()
    for word in sorted(words.split(), key=lambda word: FIELDS[word]):
        of = Where(of=of, field=FIELDS[word], value=word)
    return of


def one(words: str = "") -> Selector:
    return The(of=some(words))


def most(direction: Any, words: str = "") -> Selector:
    return The(of=Extreme(of=some(words), by=Along(direction=direction)))


def beside(relation: Any, to: Selector, words: str = "") -> Selector:
    return Related(of=some(words), relation=relation, to=to)


def word(value: str) -> Literally:
    return Literally(field=FIELDS[value], value=value)


def paint(of: Selector, value: str) -> Set:
    return Set(of=of, field=FIELDS[value], to=word(value))


def asks(what: Any) -> Query:
    return Query(asks=what)


def does(*steps: Step) -> Edit:
    return Edit(steps=steps)
