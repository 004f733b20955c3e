"""What pronouns stand for: a statement's object, an earlier phrase of the same text, or the dialogue's last turns."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from kyvo.programs.grammar.meaning import ALL, parts, rewritten
from kyvo.programs.grammar.sentences import About
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Earlier, Edit, Except, Node, Program, Selector, The, WhereSame

IT = Earlier()


def bound(readings: Iterable[tuple[Any, float]], dialogue: Sequence[Turn]) -> list[tuple[Program, float]]:
    """The readings with their pronouns bound. A reading whose pronoun has nothing to stand for is dropped."""
    found = []
    for meaning, cost in readings:
        named = meaning.named if isinstance(meaning, About) else None
        program = meaning.program if isinstance(meaning, About) else meaning
        program = rewritten(program, _drop_other)
        program = _bind(program, named, dialogue)
        if program is None:
            continue
        found.append((program, cost))
    return found


def _bind(program: Program, named: Selector | None, dialogue: Sequence[Turn]) -> Program | None:
    """The program with "it" bound: to what the text names, else to what the dialogue's last turn was about.

    In the second and later steps of an edit "it" stays: it means what the step before was about.
    """
    if isinstance(program, Edit):
        first = _bound_to(program.steps[0], named or _named_within(program.steps[0]))
        return replace(program, steps=(first, *program.steps[1:]))
    program = _bound_to(program, named or _named_within(program))
    if IT in parts(program) and not dialogue:
        program = rewritten(program, _without_other)
        return None if IT in parts(program) else program
    return program


def _bound_to(node: Any, named: Selector | None) -> Any:
    return node if named is None else rewritten(node, lambda one: named if one == IT else one)


def _is_other(node: Any) -> bool:
    return isinstance(node, Except) and node.without == IT


def _drop_other(node: Any) -> Any:
    """ "Other things of the same color as the cube" leave the cube out already."""
    if isinstance(node, WhereSame) and node.like != IT:
        return rewritten_chain(node)
    return node


def rewritten_chain(node: Any) -> Any:
    """The chain of narrowings below a node without its "other"."""
    if _is_other(node):
        return rewritten_chain(node.of)
    below = getattr(node, "of", None)
    if isinstance(below, Selector) and below != ALL and not isinstance(node, The):
        return replace(node, of=rewritten_chain(below))
    return node


def _without_other(node: Any) -> Any:
    return node.of if _is_other(node) else node


def _named_within(program: Any) -> Selector | None:
    """The first object that the text names before its pronoun."""
    for node in _in_order(program):
        if node == IT:
            return None
        if isinstance(node, The) and IT not in parts(node):
            return node
    return None


def _in_order(node: Any) -> Iterable[Any]:
    """Nodes as their text names them: a description after what it narrows."""
    if isinstance(node, Node):
        yield node
        for item in fields(node):
            yield from _in_order(getattr(node, item.name))
    elif isinstance(node, tuple):
        for one in node:
            yield from _in_order(one)
