"""Questions about a scene: drawn from templates, answered by execution, balanced over a set, and easily guessed or not.

A template's program is filled step by step with what the scene gives. As in CLEVR's generator
(https://arxiv.org/abs/1612.06890, section 3) a question is dropped when it speaks of one object and none or several
fit, or when one of its relations changes nothing; unlike there, no needless relation is let through.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, islice
from typing import Any

import numpy as np

from kyvo.data.language.question_phrases import Template, TemplateSet, TemplateStep, own_templates
from kyvo.data.language.question_programs import (
    ANSWERS,
    FUNCTIONS,
    WORDS,
    SceneIndex,
    Step,
    answer_type,
    run,
    run_step,
    step,
    to_word,
)
from kyvo.data.language.referents import ATTRIBUTES
from kyvo.errors import ConfigError, SceneError
from kyvo.scene.relations import RELATIONS
from kyvo.scene.scene import Scene

TRIES = 12  # well-posed drawings of one question; then the one with the rarest answer is taken
_DRAWINGS = 60  # of one question at most: few of two relations are well posed
ABSENT = {"exist": 0.5, "count": 0.25, "filter": 0.25}  # how often these are asked of what is not there
_ABSENT_TRIES = 8
_SUBSETS = [names for count in range(len(ATTRIBUTES) + 1) for names in combinations(ATTRIBUTES, count)]

Filter = dict[str, str]  # attribute -> value


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, what it asks as a program, and its answer on the scene it was drawn for."""

    family: str
    text: str
    program: list[dict[str, Any]]  # JSON, in the form of CLEVR's question files
    answer: str  # of ANSWERS[type]

    @property
    def type(self) -> str:
        """What kind of answer it has: "bool", "integer" or an attribute."""
        return answer_type(self.program)


@dataclass(kw_only=True)
class Balance:
    """What a set of questions holds so far. `sample_questions` reads it and counts in it what it draws.

    Families share a set evenly, so do the kinds of a family, and so, as far as scenes allow, a kind's answers.
    """

    families: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # family, kind, answer

    def add(self, question: Question) -> None:
        kind = question.program[-1]["function"]
        self.families[question.family] += 1
        self.kinds[question.family, kind] += 1
        self.answers[question.family, kind, question.answer] += 1


def sample_questions(
    scene: Scene,
    rng: np.random.Generator,
    *,
    count: int,
    balance: Balance | None = None,
    templates: TemplateSet | None = None,
) -> list[Question]:
    """`count` different, well-posed questions, set by the scene, the generator's state and `balance` alone.

    `balance` goes on from the scenes before and is updated; without it the scene stands alone. `templates` are our
    own unless others are given. Raises SceneError when the scene does not give that many questions.
    """
    balance = balance or Balance()
    templates = templates or own_templates()
    index = SceneIndex(scene)
    drawer = _Drawer(index, rng)
    found: dict[str, Question] = {}
    while len(found) < count:
        question = _next(drawer, balance, templates, taken=found.keys())
        if question is None:
            raise SceneError(
                f"a scene of {len(scene)} objects gave {len(found)} different questions; {count} are asked for. "
                "Ask for fewer, or give more objects."
            )
        found[question.text] = question
        balance.add(question)
    return list(found.values())


def _next(drawer: "_Drawer", balance: Balance, templates: TemplateSet, *, taken: Collection[str]) -> Question | None:
    """A question of the family and kind that the set has least of, among those the scene can give."""
    for family in drawer.shuffled(templates.kinds, key=lambda family: balance.families[family]):
        kinds = templates.kinds[family]
        for kind in drawer.shuffled(kinds, key=lambda kind, family=family: balance.kinds[family, kind]):
            best: tuple[int, Question] | None = None
            drawn = (drawer.question(drawer.pick(kinds[kind]), templates) for _ in range(_DRAWINGS))
            for question in islice((one for one in drawn if one is not None and one.text not in taken), TRIES):
                seen = balance.answers[family, kind, question.answer]
                if seen * len(ANSWERS[question.type]) <= balance.kinds[family, kind]:
                    return question
                if best is None or seen < best[0]:
                    best = seen, question
            if best:
                return best[1]
    return None


class _Drawer:
    """What one scene's questions are drawn with."""

    def __init__(self, index: SceneIndex, rng: np.random.Generator) -> None:
        self.index = index
        self.rng = rng
        self._filters_of: dict[frozenset[str], list[tuple[Filter, int]]] = {}

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def shuffled(self, items: Iterable[str], *, key: Callable[[str], int]) -> list[str]:
        """By `key`, lowest first, and by chance among equals."""
        known = list(items)
        return sorted((known[i] for i in self.rng.permutation(len(known))), key=key)

    def question(self, template: Template, templates: TemplateSet) -> Question | None:
        """The template filled by chance; None when that led to no well-posed question."""
        program: list[dict[str, Any]] = []
        outputs: list[Any] = []
        ends: list[int] = []  # under each step of the template, the step of the program that it ends in
        values: dict[str, str] = {}  # slot -> what fills it
        for row in template.steps:
            inputs = [ends[i] for i in row.inputs]
            if row.function in FUNCTIONS:
                words = [self.pick(WORDS[template.slots[slot]]) for slot in row.slots]
                values |= zip(row.slots, words, strict=True)
                ends.append(self._run(step(row.function, inputs, *words), program, outputs))
            else:
                drawn = self._filter(row, template, outputs[inputs[0]])
                if drawn is None:
                    return None
                values |= drawn
                end = inputs[0]
                for slot in row.slots:
                    if slot in drawn:
                        name = template.slots[slot]
                        function = "relate" if name == "relation" else f"filter_{name}"
                        end = self._run(step(function, [end], drawn[slot]), program, outputs)
                then = row.function.rsplit("_", 1)[-1]
                ends.append(end if then == "filter" else self._run(step(then, [end]), program, outputs))
            last = len(ends) - 1
            if any(
                last == max(pair) and outputs[ends[pair[0]]] == outputs[ends[pair[1]]] for pair in template.different
            ):
                return None
        if any(row.function == "relate" for row in template.steps) and has_needless_relation(program, self.index):
            return None
        text = templates.write(template, values, self.rng, other=self._has_others(program, outputs))
        return Question(family=template.family, text=text, program=program, answer=to_word(outputs[-1]))

    def _has_others(self, program: Sequence[Step], outputs: Sequence[Any]) -> bool:
        """Whether what is asked for may be called "other": the object that it is compared with is of the same kind.

        "The other large cube with the color of the ball" presupposes that the ball is a large cube.
        """
        for place, row in enumerate(program):
            if row["function"].startswith("same_"):
                item = self.index.values[outputs[row["inputs"][0]]]
                filters = (then for then in program[place:] if then["function"].startswith("filter_"))
                return all(
                    item[then["function"].removeprefix("filter_")] == then["value_inputs"][0] for then in filters
                )
        return True

    def _run(self, row: dict[str, Any], program: list[dict[str, Any]], outputs: list[Any]) -> int:
        """Runs one more step of the program; its number."""
        outputs.append(run_step(row, outputs, self.index, len(program)))
        program.append(row)
        return len(program) - 1

    def _filter(self, row: TemplateStep, template: Template, given: int) -> dict[str, str] | None:
        """Values for the slots of a filtering step on a set, or, for `relate_filter...`, an object."""
        slots = {template.slots[slot]: slot for slot in row.slots if slot not in template.empty}
        then = row.function.rsplit("_", 1)[-1]
        if row.function.startswith("relate_"):
            found = self._related(slots.keys(), then, given)
            if not found:
                return None
            relation, values = self.pick(found)
            return {slots[name]: value for name, value in {"relation": relation, **values}.items()}
        if self.rng.random() < ABSENT.get(then, 0.0):
            absent = self._absent(slots.keys(), given)
            if absent:
                return {slots[name]: value for name, value in absent.items()}
        # every scene has things, and "things or cubes" are all things
        whole = then == "filter" or (then == "exist" and given == self.index.all)
        found = [
            values
            for values, items in self._filters(slots.keys())
            if ((items & given).bit_count() == 1 if then == "unique" else items & given) and not (whole and not values)
        ]
        if then == "count" and found:  # each number as likely as another: most filters leave one object
            numbers = {(self._left(values) & given).bit_count() for values in found}
            number = self.pick(sorted(numbers))
            found = [values for values in found if (self._left(values) & given).bit_count() == number]
        return {slots[name]: value for name, value in self.pick(found).items()} if found else None

    def _left(self, values: Filter) -> int:
        """The objects that a filter leaves of all."""
        left = self.index.all
        for name, value in values.items():
            left &= self.index.having[name][value]
        return left

    def _related(self, names: Collection[str], then: str, item: int) -> list[tuple[str, Filter]]:
        """Relations to `item` and filters that leave what `then` needs, where the relation leaves something out."""
        found = []
        least, most = {"unique": (1, 1), "filter": (1, len(self.index.values))}.get(then, (0, len(self.index.values)))
        for relation in RELATIONS:
            there = self.index.related[relation][item]
            for values, items in self._filters(names):
                hit = items & there
                if hit != items and least <= hit.bit_count() <= most:
                    found.append((relation, values))
        return found

    def _filters(self, names: Collection[str]) -> list[tuple[Filter, int]]:
        """Filters by these attributes that fit some object of the scene, and the sets that they leave."""
        key = frozenset(names)
        if key not in self._filters_of:
            self._filters_of[key] = [(values, items) for values, items in self._all_filters if values.keys() <= key]
        return self._filters_of[key]

    @cached_property
    def _all_filters(self) -> list[tuple[Filter, int]]:
        found: dict[tuple[tuple[str, str], ...], int] = {}
        for place, item in enumerate(self.index.values):
            for names in _SUBSETS:
                key = tuple((name, item[name]) for name in names)
                found[key] = found.get(key, 0) | 1 << place
        return [(dict(key), items) for key, items in found.items()]

    def _absent(self, names: Collection[str], given: int) -> Filter | None:
        """A filter that leaves nothing of the set `given`."""
        subsets = [subset for subset in _SUBSETS if subset and all(name in names for name in subset)]
        for _ in range(_ABSENT_TRIES if subsets else 0):
            values = {name: self.pick(WORDS[name]) for name in self.pick(subsets)}
            if not self._left(values) & given:
                return values
        return None


def has_needless_relation(program: Sequence[Step], scene: Scene | SceneIndex) -> bool:
    """Whether one of the program's relations could go, and the last set of objects would be the same."""
    index = scene if isinstance(scene, SceneIndex) else SceneIndex(scene)
    last = max(place for place, row in enumerate(program) if FUNCTIONS[row["function"]].output == "set")
    whole = run(program[: last + 1], index)[-1]
    for place, row in enumerate(program):
        if row["function"] == "relate":
            without = [*program[:place], step("scene"), *program[place + 1 : last + 1]]
            try:
                if run(without, index)[-1] == whole:
                    return True
            except SceneError:  # without it an object is no longer the only one: it was needed
                continue
    return False


def baselines(questions: Iterable[Question]) -> dict[str, dict[str, float]]:
    """How often guessing is right, in each family and over "all": what a model has to beat.

    `random` draws among the answers of the question's type. `most_frequent` gives the answer that is most frequent
    among the questions of its type, within the family or over all. `count` is the number of questions.
    Raises ConfigError without questions.
    """
    groups: dict[str, list[Question]] = {"all": list(questions)}
    if not groups["all"]:
        raise ConfigError("there are no questions to guess at; give at least one.")
    for question in groups["all"]:
        groups.setdefault(question.family, []).append(question)
    return {name: _guess(group) for name, group in groups.items()}


def _guess(questions: Sequence[Question]) -> dict[str, float]:
    answers: dict[str, Counter[str]] = {}
    for question in questions:
        answers.setdefault(question.type, Counter())[question.answer] += 1
    return {
        "count": len(questions),
        "random": sum(1 / len(ANSWERS[question.type]) for question in questions) / len(questions),
        "most_frequent": sum(max(counts.values()) for counts in answers.values()) / len(questions),
    }
