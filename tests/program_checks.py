"""Checks of programs by the thousand, in a process of their own: pytest checks the types of every call, which is slow.

    python tests/program_checks.py naive 0 10000     both executors agree on random programs
    python tests/program_checks.py clevr 10000       and on sampled questions, with their answers
    python tests/program_checks.py tokens 0 1000     random walks of the grammar end, and are programs
    python tests/program_checks.py fuzz 0 20000      broken programs raise errors with names, and soon

Prints what was counted as JSON; exits with 1 at the first that fails.
"""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from naive_programs import Borderline, Naive, Wrong
from random_programs import CLEVR, Draw, random_scene

from kyvo.errors import KyvoError
from kyvo.programs import program as p
from kyvo.programs.execute import answer, apply
from kyvo.programs.json_form import from_json, from_text, to_json
from kyvo.programs.structure import check, slots
from kyvo.programs.tokens import ProgramGrammar
from kyvo.programs.wording import wording
from kyvo.scene.builtin_schemas import SCHEMAS
from kyvo.scene.scene import Scene

PLACING = ("add", "move", "copy", "rotate", "align", "undo", "redo")  # steps that the naive executor does not know
SLOWEST = 1.0  # seconds of this process that one broken program may take


def outcome(run: Callable[[], Any]) -> Any:
    """What it gives, or the name of the error."""
    try:
        return run()
    except Wrong as wrong:
        return str(wrong)
    except KyvoError as error:
        return type(error).__name__


def plain(scene: Scene) -> list[dict[str, Any]]:
    words = ("size", "color", "material", "shape")
    return [
        {**{name: item.get(name) for name in words}, "location": list(item.location or ())} for item in scene.objects
    ]


def alike(first: Any, second: Any) -> bool:
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(alike(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(alike(first[key], second[key]) for key in first)
    if isinstance(first, float) and isinstance(second, int | float):
        return abs(first - second) < 1e-5
    return type(first) is type(second) and first == second


def check_naive(seed: int) -> str:
    """Both executors on one random program; "borderline" where a distance is too near to a threshold to tell."""
    scene = random_scene(seed // 10)
    draw = Draw(seed, scene=scene, avoid=("earlier", "hidden", *PLACING))
    program = draw.program(nodes=random.Random(seed).choice((6, 15, 30)))
    data, naive = to_json(program), Naive(plain(scene))
    try:
        if isinstance(program, p.Query):
            expected = outcome(lambda: naive.ask(data["asks"]))
            got = outcome(lambda: answer(program, scene, CLEVR).value)
        else:
            expected = outcome(lambda: naive.edit(data["steps"]))
            expected = "AlreadySo" if expected is None else expected
            got = outcome(lambda: plain(apply(program, scene, CLEVR).scene))
    except Borderline:
        return "borderline"
    assert alike(expected, got), (seed, data, expected, got)
    return got if isinstance(got, str) and got[:1].isupper() else "value"


def check_clevr(count: int) -> Counter[str]:
    """Questions sampled for drawn scenes: converted, answered, converted back."""
    from kyvo.data.clevr.sampling import sample_scenes
    from kyvo.data.language.question_programs import answer as stepwise
    from kyvo.data.language.questions import Balance, sample_questions
    from kyvo.programs.clevr import from_clevr, to_clevr

    counts: Counter[str] = Counter()
    rng, balance = np.random.default_rng(0), Balance()
    for scene in sample_scenes(range(-(-count // 20)), seed=7, width=480, height=320):
        for question in sample_questions(scene, rng, count=20, balance=balance):
            query = from_clevr(question.program)
            got = answer(query, scene, CLEVR).text
            back = to_clevr(query)
            assert got == question.answer == stepwise(back, scene), (question, got)
            assert from_clevr(back) == query, question
            counts[question.type] += 1
    return counts


@cache
def grammar_of(name: str, most: int) -> ProgramGrammar:
    return ProgramGrammar(SCHEMAS[name](), max_tokens=most)


def check_tokens(seed: int) -> str:
    """A list of tokens drawn among those allowed, to its end."""
    draw = random.Random(seed)
    name, most = draw.choice(list(SCHEMAS)), draw.choice((5, 6, 12, 40, 300))
    grammar = grammar_of(name, most)
    state, tokens = grammar.start(), []
    while not state.is_done:
        allowed = grammar.allowed(state)
        assert allowed, (seed, tokens)  # no dead end
        tokens.append(draw.choice(allowed))
        state = grammar.step(state, tokens[-1])
    assert len(tokens) <= most, seed
    program = grammar.decode(tokens)
    check(program, grammar.schema)
    assert from_json(to_json(program), grammar.schema) == program, seed
    longest = grammar_of(name, 300)
    assert longest.decode(longest.encode(program)) == program, seed
    return "query" if isinstance(program, p.Query) else "edit"


def check_fuzz(seed: int) -> str:
    """One program, sound or broken as JSON, as a text, as tokens or as nodes: a named error or a result, and soon."""
    draw = random.Random(seed)
    scene = random_scene(seed // 50)
    program = Draw(seed, scene=scene if seed % 2 else None).program(nodes=draw.choice((5, 20, 60)))
    start = time.process_time()
    try:
        kind = draw.choice(("sound", "json", "text", "tokens", "nodes"))
        breaks = {"sound": lambda program, _: program, "json": _json, "text": _text, "tokens": _tokens, "nodes": _nodes}
        broken: Any = breaks[kind](program, draw)
        wording(broken)
        broken = from_json(to_json(broken))
        result = answer(broken, scene, CLEVR) if isinstance(broken, p.Query) else apply(broken, scene, CLEVR)
        assert result is not None
        found = f"{kind}: carried out"
    except KyvoError as error:
        assert len(str(error)) > 10, (seed, error)
        found = f"{kind}: {type(error).__name__}"
    took = time.process_time() - start
    assert took < SLOWEST, (seed, took)
    return found


ODD = (
    None,
    True,
    -1,
    0,
    1e400,
    float("nan"),
    10**40,
    0.5,
    "",
    "were",
    "x" * 5000,
    [],
    {},
    [[]],
    {"op": "edit"},
    "\x00",
    "красный",
)


def _json(program: p.Program, draw: random.Random) -> p.Program:
    data = to_json(program)
    for _ in range(draw.randint(1, 3)):
        places = list(_places(data))
        holder, key = draw.choice(places)
        other, place = draw.choice(places)
        change = draw.choice(("odd", "swap", "drop", "new", "deep"))
        if change == "odd":
            holder[key] = draw.choice(ODD)
        elif change == "swap":
            holder[key], other[place] = json.loads(json.dumps([other[place], holder[key]]))
        elif change == "drop":
            del holder[key]
        elif change == "new" and isinstance(holder, dict):
            holder[draw.choice(("ops", "of", "value"))] = draw.choice(ODD)
        else:
            for _ in range(draw.choice((30, 300))):
                holder[key] = {"op": "the", "of": holder[key], "count": 1}
        if not list(_places(data)):
            break
    return from_json(data, CLEVR)


def _places(data: Any) -> Any:
    """Every holder and key in JSON data, not deeper than programs may be."""
    waiting = [data]
    while waiting:
        holder = waiting.pop()
        for key in list(holder if isinstance(holder, dict) else range(len(holder))):
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def _text(program: p.Program, draw: random.Random) -> p.Program:
    text = json.dumps(to_json(program))
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(text) + 1)
        text = (
            text[:place]
            + draw.choice(("", "}", "[", '"', "NaN", "\x00", "9" * 400, "[" * 9000))
            + text[place + draw.randrange(3) :]
        )
    return from_text(text, CLEVR)


def _tokens(program: p.Program, draw: random.Random) -> p.Program:
    grammar = GRAMMAR
    tokens = list(grammar.encode(program))
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(tokens) + 1)
        tokens[place : place + draw.randrange(2)] = draw.choices(grammar.vocabulary, k=draw.randrange(3))
    return grammar.decode(tokens)


def _nodes(program: p.Program, draw: random.Random) -> p.Program:
    """A node whose fields hold what they should not, deep inside or in itself."""
    path: list[tuple[Any, str]] = []
    node: Any = program
    while True:
        inner = [
            slot for slot in slots(type(node)) if slot.kind == "node" and not slot.is_list and getattr(node, slot.name)
        ]
        if not inner or draw.random() < 0.3:
            break
        slot = draw.choice(inner)
        path.append((node, slot.name))
        node = getattr(node, slot.name)
    entries = slots(type(node))
    if entries:
        slot = draw.choice(entries)
        odd = draw.choice((*ODD, p.Everything(), node, p.Edit(steps=()), object()))
        node = replace(node, **{slot.name: odd})
        if draw.random() < 0.1:
            object.__setattr__(node, slot.name, node)  # a cycle
    for holder, name in reversed(path):
        node = replace(holder, **{name: node})
    result = answer(node, random_scene(1), CLEVR) if isinstance(node, p.Query) else apply(node, random_scene(1), CLEVR)
    assert result is not None
    return program


GRAMMAR = ProgramGrammar(CLEVR)

if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    if what == "clevr":
        counts = check_clevr(int(numbers[0]))
    else:
        one = {"naive": check_naive, "tokens": check_tokens, "fuzz": check_fuzz}[what]
        counts = Counter(one(seed) for seed in range(int(numbers[0]), int(numbers[1])))
    print(json.dumps(counts))
