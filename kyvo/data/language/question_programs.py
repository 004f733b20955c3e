"""Functional programs: what a question asks, as a list of steps, and their execution on a scene.

A program is JSON in the form of CLEVR's question files (https://arxiv.org/abs/1612.06890): each step names a
`function`, the earlier steps that are its `inputs`, and its `value_inputs`. The last step gives the answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from typing import Any

from kyvo.data.language.referents import ATTRIBUTES
from kyvo.errors import SceneError
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.scene.relations import RELATIONS, relationships
from kyvo.scene.scene import Scene

WORDS = {field.name: field.words for field in clevr_schema().fields if field.words} | {"relation": RELATIONS}
ANSWERS = {  # under each type of answer, the words that it can be
    "bool": ("yes", "no"),
    "integer": tuple(str(number) for number in range(11)),  # CLEVR's scenes have at most ten objects
    **{name: WORDS[name] for name in ATTRIBUTES},
}

Step = Mapping[str, Any]


class SceneIndex:
    """A scene made ready for programs. A set of objects is an int with a bit for each; one object is its index."""

    def __init__(self, scene: Scene) -> None:
        """Raises SceneError for an object that lacks one of CLEVR's attributes."""
        for index, item in enumerate(scene.objects):
            for name in ATTRIBUTES:
                if item.get(name) not in WORDS[name]:
                    raise SceneError(
                        f"objects[{index}].{name} is {item.get(name)!r}; questions are for scenes whose objects have "
                        f"a {name} among {', '.join(WORDS[name])}."
                    )
        self.scene = scene
        self.all = (1 << len(scene)) - 1
        self.values = [{name: item.get(name) for name in ATTRIBUTES} for item in scene.objects]
        self.having = {name: dict.fromkeys(WORDS[name], 0) for name in ATTRIBUTES}  # attribute -> value -> set
        for index, values in enumerate(self.values):
            for name, value in values.items():
                self.having[name][value] |= 1 << index

    @cached_property
    def related(self) -> dict[str, list[int]]:
        """Under each relation, for each object, the set of those that stand so to it."""
        found = relationships(self.scene)
        return {name: [sum(1 << other for other in row) for row in rows] for name, rows in found.items()}


@dataclass(frozen=True, kw_only=True)
class Function:
    """One step's kind: the types of what it takes and gives, and what it does.

    Types are "set", "object", and the types of answer.
    """

    inputs: tuple[str, ...] = ()
    value: str | None = None  # what its value input is one of: an attribute's or relation's words
    output: str
    apply: Callable[..., Any]  # (index, *inputs, *value inputs)


def _unique(index: SceneIndex, items: int) -> int:
    if items.bit_count() != 1:
        found = ", ".join(str(i) for i in range(len(index.values)) if items >> i & 1)
        raise SceneError(f"{f'objects {found} fit' if found else 'no object fits'}; exactly one must.")
    return items.bit_length() - 1


def _attribute_functions(name: str) -> dict[str, Function]:
    return {
        f"filter_{name}": Function(
            inputs=("set",),
            value=name,
            output="set",
            apply=lambda index, items, value: items & index.having[name][value],
        ),
        f"same_{name}": Function(
            inputs=("object",),
            output="set",
            apply=lambda index, item: index.having[name][index.values[item][name]] & ~(1 << item),
        ),
        f"query_{name}": Function(inputs=("object",), output=name, apply=lambda index, item: index.values[item][name]),
        f"equal_{name}": Function(inputs=(name, name), output="bool", apply=lambda _, first, second: first == second),
    }


FUNCTIONS = {
    "scene": Function(output="set", apply=lambda index: index.all),
    "unique": Function(inputs=("set",), output="object", apply=_unique),
    "relate": Function(
        inputs=("object",),
        value="relation",
        output="set",
        apply=lambda index, item, relation: index.related[relation][item],
    ),
    "union": Function(inputs=("set", "set"), output="set", apply=lambda _, first, second: first | second),
    "intersect": Function(inputs=("set", "set"), output="set", apply=lambda _, first, second: first & second),
    "count": Function(inputs=("set",), output="integer", apply=lambda _, items: items.bit_count()),
    "exist": Function(inputs=("set",), output="bool", apply=lambda _, items: items != 0),
    "equal_integer": Function(
        inputs=("integer", "integer"), output="bool", apply=lambda _, first, second: first == second
    ),
    "less_than": Function(inputs=("integer", "integer"), output="bool", apply=lambda _, first, second: first < second),
    "greater_than": Function(
        inputs=("integer", "integer"), output="bool", apply=lambda _, first, second: first > second
    ),
    "equal_object": Function(
        inputs=("object", "object"), output="bool", apply=lambda _, first, second: first == second
    ),
}
for _name in ATTRIBUTES:
    FUNCTIONS |= _attribute_functions(_name)


def step(function: str, inputs: Sequence[int] = (), *values: str) -> dict[str, Any]:
    """One step of a program, in the form of CLEVR's files."""
    return {"function": function, "inputs": list(inputs), "value_inputs": list(values)}


def answer(program: Sequence[Step], scene: Scene | SceneIndex) -> str:
    """What the program gives on the scene, as a word of `ANSWERS`: "yes", "3", "red".

    Raises SceneError, naming the step, for a program that is malformed or asks for one object where none or
    several fit.
    """
    check(program)
    return to_word(run(program, scene if isinstance(scene, SceneIndex) else SceneIndex(scene))[-1])


def run(program: Sequence[Step], index: SceneIndex) -> list[Any]:
    """Each step's output, for a program that `check` lets pass. Raises SceneError as `answer` does."""
    outputs: list[Any] = []
    for place, row in enumerate(program):
        outputs.append(run_step(row, outputs, index, place))
    return outputs


def run_step(row: Step, outputs: Sequence[Any], index: SceneIndex, place: int) -> Any:
    """One step's output: a set or object of `index`, a bool, an int or a word. `place` is for messages."""
    inputs = (outputs[i] for i in row["inputs"])
    try:
        return FUNCTIONS[row["function"]].apply(index, *inputs, *row["value_inputs"])
    except SceneError as error:
        raise SceneError(f"program[{place}] ({row['function']}): {error}") from error


def operands(program: Sequence[Step], index: SceneIndex) -> list[int]:
    """The sets of objects that the last step decides on: those counted, the one whose color is the answer, or,
    one by one, those that are compared."""
    outputs = run(program, index)

    def about(place: int) -> list[int]:
        kind = FUNCTIONS[program[place]["function"]].output
        if kind in ("set", "object"):
            return [outputs[place] if kind == "set" else 1 << outputs[place]]
        return [found for place in program[place]["inputs"] for found in about(place)]

    return about(len(program) - 1)


def asked_about(program: Sequence[Step], index: SceneIndex) -> int:
    """All objects of its `operands`."""
    return reduce(or_, operands(program, index), 0)


def to_word(value: bool | int | str) -> str:
    """An output as an answer: CLEVR says yes and no."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def answer_type(program: Sequence[Step]) -> str:
    """ "bool", "integer" or an attribute: the key of `ANSWERS` for this program."""
    return FUNCTIONS[program[-1]["function"]].output


def check(program: Sequence[Step]) -> None:
    """Raises SceneError, naming the step, unless every step fits those it takes and the last one gives an answer."""
    if not program:
        raise SceneError("the program has no steps; it needs at least a scene and what is asked of it.")
    types: list[str] = []
    for place, row in enumerate(program):
        where = f"program[{place}]"
        missing = [key for key in ("function", "inputs", "value_inputs") if key not in row]
        if missing:
            raise SceneError(f"{where} has no {missing[0]!r}; a step has function, inputs and value_inputs.")
        function = FUNCTIONS.get(row["function"])
        if function is None:
            raise SceneError(f"{where} is {row['function']!r}; known functions are {', '.join(FUNCTIONS)}.")
        if not all(isinstance(i, int) and 0 <= i < place for i in row["inputs"]):
            raise SceneError(f"{where}.inputs is {row['inputs']}; a step takes the outputs of earlier steps.")
        given = tuple(types[i] for i in row["inputs"])
        if given != function.inputs:
            raise SceneError(
                f"{where} ({row['function']}) takes {_list(function.inputs)} but is given {_list(given)}; "
                "point its inputs at other steps."
            )
        values = list(row["value_inputs"])
        if len(values) != (function.value is not None) or not all(v in WORDS[function.value or ""] for v in values):
            fitting = f"one of {', '.join(WORDS[function.value])}" if function.value else "none"
            raise SceneError(f"{where}.value_inputs is {values}; {row['function']} takes {fitting}.")
        types.append(function.output)
    if types[-1] not in ANSWERS:
        raise SceneError(
            f"the program ends in {program[-1]['function']}, which gives {_list(types[-1:])}; "
            "end it in a question, such as count, exist or query_color."
        )


def _list(types: Sequence[str]) -> str:
    return " and ".join(types) or "nothing"
