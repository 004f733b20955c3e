"""Programs that say nothing: readings whose answer is the same whatever the scene holds. No text means one."""

from itertools import pairwise

from kyvo.programs import program as p
from kyvo.programs.grammar.meaning import ALL, parts
from kyvo.programs.program import Node, Program
from kyvo.programs.program.edits import leaves


def says_nothing(program: Program) -> bool:
    """Whether a part of the program holds, or fails, in every scene; or an edit is of red things that are blue."""
    nodes = list(parts(program))
    if any(map(_is_empty, nodes)):
        return True
    return isinstance(program, p.Edit) and (any(map(_is_impossible, nodes)) or _leaves_nothing(program))


def _is_empty(node: Node) -> bool:
    match node:
        case p.Every(of=of, among=among):
            return among in (ALL, of) or (isinstance(among, p.Extreme) and among.of == of)
        case p.Exists(of=p.Extreme(rank=1)):  # of any set one is the leftmost
            return True
        case p.Count(of=p.Extreme(by=p.Along() | p.Closeness() | p.Farness(), rank=1)):
            return True
        case p.Compare(first=first, second=second):
            return first == second or (isinstance(first, p.Number) and isinstance(second, p.Number))
        case p.SameWord(first=first, second=second):
            return first == second or (isinstance(first, p.Literally) and isinstance(second, p.Literally))
        case p.Except(of=of, without=without):
            return without in (ALL, of)
        case p.WhereSame(like=like, some=False) | p.Related(to=like, some=False) if like == ALL:
            return True
        case p.BiggerThan(first=first, second=second) | p.Both(first=first, second=second):
            return first == second
        case _:
            return False


def _leaves_nothing(edit: p.Edit) -> bool:
    """Whether a step changes what is left when everything was removed."""
    steps = list(leaves(edit.steps))
    return any(one == p.Remove(of=ALL) and not isinstance(then, p.Add | p.Undo) for one, then in pairwise(steps))


def _is_impossible(node: Node) -> bool:
    """Whether a description has two words of one field."""
    return isinstance(node, p.Where) and isinstance(node.of, p.Where) and node.field == node.of.field
