"""Search for the program of a question whose scene and right answer are known.

Many programs give the right answer by chance. Against them:

- candidates come from the sentence, and account for each word that says something (`kyvo.data.language.candidates`);
- of candidates of one way to read it, the freer ways are tried only where the surer ones give no right answer;
- all candidates with the right answer must agree on further scenes: this one with its objects' words drawn anew;
- without a reading of the whole sentence the answer must change with the scene and be a rare one: a program that gives
  it on many of the further scenes is not shown right by it.

Of programs that agree the shortest is taken.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import combinations

from kyvo.data.language.candidates import READING, WAYS, CandidateFinder
from kyvo.data.language.cases import plain_answer
from kyvo.programs.errors import ProgramError
from kyvo.programs.execute import answer
from kyvo.programs.grammar.meaning import parts
from kyvo.programs.program import Query
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

NUM_SCENES = 40
MIN_ANSWERED = 4  # of the further scenes; below that only equal programs agree
MAX_CHANCE = 0.4  # share of the further scenes with an answer that may have the very one


class Lack(Enum):
    """Why a question has no program."""

    NO_PROGRAM = "no candidate gives its answer"
    CHANCE = "a candidate gives its answer, as it does in many scenes"
    DISAGREEING = "candidates that give its answer differ in other scenes"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A question's program."""

    program: Query
    way: str  # one of `WAYS`


def search(text: str, scene: Scene, right: str, schema: SceneSchema, *, seed: int = 0) -> Found | Lack:
    """The program of a question, or why it has none. `seed` sets the further scenes."""
    finder = _finder(schema)
    lack = Lack.NO_PROGRAM
    for way in WAYS:
        queries = [one for one in finder.find(text, way) if _answer(one, scene, schema) == plain_answer(right)]
        if not queries:
            continue
        rng = random.Random(f"{seed} {text}")
        scenes = [redrawn(scene, schema, rng) for _ in range(NUM_SCENES)]
        answers = {query: [_answer(query, other, schema) for other in scenes] for query in queries}
        if way != READING:  # "what shape is the cube?" says nothing of a scene
            queries = [one for one in queries if len({*answers[one]} - {None}) > 1]
        if not queries:
            continue
        if not _agree([answers[one] for one in queries]):
            return Lack.DISAGREEING
        query = min(queries, key=lambda one: sum(1 for _ in parts(one)))
        given = [one for one in answers[query] if one is not None]
        if way == READING or given.count(plain_answer(right)) <= MAX_CHANCE * len(given):
            return Found(program=query, way=way)
        lack = Lack.CHANCE
    return lack


def _agree(answers: Sequence[Sequence[str | None]]) -> bool:
    """Whether programs give the same answers wherever two of them give any, and do so in enough scenes."""
    for first, second in combinations(answers, 2):
        both = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
        if len(both) < MIN_ANSWERED or any(one != other for one, other in both):
            return False
    return True


def _answer(query: Query, scene: Scene, schema: SceneSchema) -> str | None:
    """None where the scene can not say it."""
    try:
        return plain_answer(answer(query, scene, schema).text)
    except ProgramError:
        return None


def redrawn(scene: Scene, schema: SceneSchema, rng: random.Random) -> Scene:
    """The scene with words drawn anew for its objects, mostly of those that it has; places stay."""
    values = {}
    for field in schema.word_fields:
        here = [word for one in scene.objects if (word := one.get(field.name)) is not None]
        values[field.name] = here + list(field.words)
    objects = tuple(
        one.with_values(**{name: rng.choice(words) for name, words in values.items() if one.get(name) is not None})
        for one in scene.objects
    )
    return replace(scene, objects=objects)


@lru_cache(maxsize=4)
def _finder(schema: SceneSchema) -> CandidateFinder:
    return CandidateFinder(schema)
