"""CLEVR's question programs <-> ours: the steps of its question files as a tree, and back.

A step names a `function`, the earlier steps that are its `inputs`, and its `value_inputs`
(https://arxiv.org/abs/1612.06890). CLEVR's language is a part of ours: every one of its programs converts, and those of
ours that need no more than it has convert back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from kyvo.programs import program as p
from kyvo.programs.errors import ProgramError
from kyvo.programs.program import Node, Query, Selector
from kyvo.programs.structure import check, shown
from kyvo.scene.relations import RELATIONS

ATTRIBUTES = ("size", "color", "material", "shape")
COMPARISONS = {"equal_integer": "equal", "less_than": "less", "greater_than": "greater"}
MAX_STEPS = 200

Step = Mapping[str, Any]


def from_clevr(steps: Sequence[Step]) -> Query:
    """Our program of CLEVR's steps. Raises ProgramError, naming the step, for a list that is no question of CLEVR's."""
    if not isinstance(steps, Sequence) or not 0 < len(steps) <= MAX_STEPS:
        raise ProgramError(f"a program of CLEVR is a list of 1 to {MAX_STEPS} steps; this is {shown(steps)}.")
    nodes: list[Node] = []
    for place, row in enumerate(steps):
        nodes.append(_node(row, nodes, f"program[{place}]"))
    last = nodes[-1]
    if not isinstance(last, p.Amount | p.Truth | p.Word):
        raise ProgramError(f"the program ends in {steps[-1]['function']}, which gives objects; end it in a question.")
    query = Query(asks=last)
    check(query)
    return query


def to_clevr(query: Query) -> list[dict[str, Any]]:
    """CLEVR's steps of our program. Raises ProgramError for what its language does not have."""
    check(query)
    writer = _Writer()
    writer.write(query.asks)
    return writer.steps


def _node(row: Step, nodes: Sequence[Node], where: str) -> Node:
    """One step as a node, with its inputs below it."""
    keys = ("function", "inputs", "value_inputs")
    if not isinstance(row, Mapping) or not all(key in row for key in keys):
        raise ProgramError(f"{where} is {shown(row)}; a step has function, inputs and value_inputs.")
    function, inputs, values = (row[key] for key in keys)
    if not isinstance(inputs, Sequence) or not all(isinstance(i, int) and 0 <= i < len(nodes) for i in inputs):
        raise ProgramError(f"{where}.inputs is {shown(inputs)}; a step takes the outputs of earlier steps.")
    given = [nodes[i] for i in inputs]
    name, _, field = function.partition("_") if isinstance(function, str) else ("", "", "")

    def take(*kinds: type[Node], words: int = 0) -> list[Any]:
        if len(given) != len(kinds) or not all(isinstance(node, kind) for node, kind in zip(given, kinds, strict=True)):
            raise ProgramError(
                f"{where} ({function}) is given {', '.join(map(shown, given)) or 'nothing'}, which it does not take."
            )
        if not isinstance(values, Sequence) or len(values) != words or not all(isinstance(v, str) for v in values):
            raise ProgramError(f"{where}.value_inputs is {shown(values)}; {function} takes {words} words.")
        return [*given, *values]

    match name:
        case "scene":
            take()
            return p.Everything()
        case "unique":
            (of,) = take(Selector)
            return p.The(of=of)
        case "relate":
            to, relation = take(p.The, words=1)
            if relation not in RELATIONS:
                raise ProgramError(
                    f"{where}: {relation!r} is no relation of CLEVR's; known are {', '.join(RELATIONS)}."
                )
            return p.Related(of=p.Everything(), relation=relation, to=to)
        case "union" | "intersect":
            first, second = take(Selector, Selector)
            return (p.Either if name == "union" else p.Both)(first=first, second=second)
        case "count" | "exist":
            (of,) = take(Selector)
            return p.Count(of=of) if name == "count" else p.Exists(of=of)
        case "filter" if field in ATTRIBUTES:
            of, value = take(Selector, words=1)
            return p.Where(of=of, field=field, value=value)
        case "same" if field in ATTRIBUTES:
            (like,) = take(p.The)
            return p.WhereSame(of=p.Everything(), field=field, like=like)
        case "query" if field in ATTRIBUTES:
            (of,) = take(p.The)
            return p.WordOf(of=of, field=field)
        case "equal" if field in ATTRIBUTES:
            first, second = take(p.WordOf, p.WordOf)
            return p.SameWord(first=first, second=second)
        case "equal" if field == "object":
            first, second = take(p.The, p.The)
            return p.Every(of=first, among=second)
        case _ if function in COMPARISONS:
            first, second = take(p.Count, p.Count)
            return p.Compare(comparison=COMPARISONS[function], first=first, second=second)  # type: ignore[arg-type]
        case _:
            raise ProgramError(f"{where} is {shown(function)}, which is no function of CLEVR's.")


class _Writer:
    """Writes nodes as steps; each `write` gives the number of the step that the node ends in."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def step(self, function: str, inputs: Sequence[int] = (), *values: str) -> int:
        self.steps.append({"function": function, "inputs": list(inputs), "value_inputs": list(values)})
        return len(self.steps) - 1

    def write(self, node: Node) -> int:
        match node:
            case p.Everything():
                return self.step("scene")
            case p.Where(of=of, field=field, value=value) if field in ATTRIBUTES:
                return self.step(f"filter_{field}", [self.write(of)], value)
            case p.The(of=of, count=1):
                return self.step("unique", [self.write(of)])
            case p.Related(of=of, relation=relation, to=p.The(count=1) as to) if relation in RELATIONS:
                return self._narrowed(of, lambda: self.step("relate", [self.write(to)], relation))
            case p.WhereSame(of=of, field=field, like=p.The(count=1) as like, some=False) if field in ATTRIBUTES:
                return self._narrowed(of, lambda: self.step(f"same_{field}", [self.write(like)]))
            case p.Both(first=first, second=second):
                return self.step("intersect", [self.write(first), self.write(second)])
            case p.Either(first=first, second=second):
                return self.step("union", [self.write(first), self.write(second)])
            case p.Count(of=of):
                return self.step("count", [self.write(of)])
            case p.Exists(of=of):
                return self.step("exist", [self.write(of)])
            case p.Compare(comparison=comparison, first=p.Count() as first, second=p.Count() as second) if (
                comparison in COMPARISONS.values()
            ):
                function = next(name for name, known in COMPARISONS.items() if known == comparison)
                return self.step(function, [self.write(first), self.write(second)])
            case p.WordOf(of=p.The(count=1) as of, field=field) if field in ATTRIBUTES:
                return self.step(f"query_{field}", [self.write(of)])
            case p.SameWord(first=p.WordOf(field=field) as first, second=p.WordOf() as second) if field == second.field:
                return self.step(f"equal_{field}", [self.write(first), self.write(second)])
            case p.Every(of=p.The(count=1) as of, among=p.The(count=1) as among):
                return self.step("equal_object", [self.write(of), self.write(among)])
            case _:
                raise ProgramError(f"CLEVR's programs have nothing for {shown(node)} as it stands here.")

    def _narrowed(self, of: Selector, write: Any) -> int:
        """CLEVR relates to all objects; conditions on those related come after."""
        filters = []
        while isinstance(of, p.Where) and of.field in ATTRIBUTES:
            filters.append(of)
            of = of.of
        end = write()
        if not isinstance(of, p.Everything):
            end = self.step("intersect", [end, self.write(of)])
        for where in reversed(filters):
            end = self.step(f"filter_{where.field}", [end], where.value)
        return end
