"""What pronouns stand for: a statement's object, an earlier phrase of the same text, or the dialogue's last turns."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
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
        if IT in parts(program):
            named = named or _named_within(program)
            if named is not None:
                program = rewritten(program, lambda node, named=named: named if node == IT else node)
                program = rewritten(program, _not_itself)
            elif not dialogue and not isinstance(program, Edit):
                without = rewritten(program, _without_other)
                if IT in parts(without):
                    continue
                program = without
        found.append((program, cost))
    return found


def _is_other(node: Any) -> bool:
    return isinstance(node, Except) and node.without == IT


def _drop_other(node: Any) -> Any:
    """ "Other things of the same color as the cube" leave the cube out already."""
    if isinstance(node, WhereSame) and node.like != IT:
        return rewritten_chain(node)
    return node


def rewritten_chain(node: Any) -> Any:
    """The chain of narrowings below a node without its "other"."""
    from dataclasses import replace

    if _is_other(node):
        return rewritten_chain(node.of)
    below = getattr(node, "of", None)
    if isinstance(below, Selector) and below != ALL and not isinstance(node, The):
        return replace(node, of=rewritten_chain(below))
    return node


def _without_other(node: Any) -> Any:
    return node.of if _is_other(node) else node


def _not_itself(node: Any) -> Any:
    return node


def _named_within(program: Program) -> Selector | None:
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
