"""`LanguageSet`: texts with their programs, for a language model that is to write programs (the task `parsing`).

Some rows are drawn from the grammar of English (`kyvo.data.language.sentences`), the others are our own questions and
instructions about CLEVR scenes. Both have their programs from the parser.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from kyvo.data.clevr.sampling import sample_scenes
from kyvo.data.dataset import SetSettings, SkippedItem
from kyvo.data.language.edits import sample_edits
from kyvo.data.language.question_phrases import own_templates
from kyvo.data.language.questions import Balance, sample_questions
from kyvo.data.language.sentences import Sentence, generator_of
from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.programs.json_form import to_json
from kyvo.programs.program import Edit
from kyvo.scene.builtin_schemas import load_schema

with extra("data"):
    from datasets import Dataset, Features, Value

MIN_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class LanguageSet(SetSettings):
    """Texts, the dialogue before them, and the program that each asks for."""

    seed: int
    schema: str = "clevr"
    phrases: float = 0.5  # share of rows that are our own questions and instructions, where the schema is CLEVR's
    max_words: int = 100  # of the texts that the grammar draws

    kind: ClassVar[str] = "language"
    what: ClassVar[str] = "Texts about scenes with their programs"
    columns: ClassVar[dict[str, str]] = {
        "text": "English text, as people write",
        "dialogue": "JSON list of earlier texts, each with its program; the oldest first",
        "asked_program": "JSON of the program (`kyvo.programs.json_form`); null for a text that asks nothing",
        "source": "grammar or phrases",
        "noise": "what was done to the text: case, punctuation, spelling, typing errors",
    }
    features: ClassVar[Features] = Features({name: Value("string") for name in columns})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not load_schema(self.schema).word_fields:
            raise ConfigError(f"the schema {self.schema!r} has no words; there is nothing to ask of its objects.")
        if not 0 <= self.phrases <= 1:
            raise ConfigError(f"phrases is {self.phrases:g}; it is a share, from 0 to 1.")
        if self.max_words < MIN_WORDS:
            raise ConfigError(f"max_words is {self.max_words}; the grammar draws few texts below {MIN_WORDS}.")

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        for index in indices:
            rng = random.Random(f"{self.seed} {index}")
            found, source = None, "phrases"
            if self.schema.startswith("clevr") and rng.random() < self.phrases:
                found = self._phrase(index, rng)
            if found is None:
                found, source = self._drawn(rng), "grammar"
            yield {
                "text": found.text,
                "dialogue": _json([[turn.text, to_json(turn.program)] for turn in found.dialogue]),
                "asked_program": _json(None if found.program is None else to_json(found.program)),
                "source": source,
                "noise": found.noise,
            }

    def _drawn(self, rng: random.Random) -> Sentence:
        """A sentence of the grammar that is short enough."""
        while True:
            found = generator_of(load_schema(self.schema)).draw(rng)
            if len(found.text.split()) <= self.max_words:
                return found

    def _phrase(self, index: int, rng: random.Random) -> Sentence | None:
        """One of our own questions or instructions; None where a scene has none, or the parser refuses it."""
        generator = np.random.default_rng([self.seed, index])
        scenes = sample_scenes([index], seed=self.seed, width=120, height=80)
        if rng.random() < 0.5:
            asked = sample_questions(scenes[0], generator, count=1, balance=Balance(), templates=own_templates())
            text = asked[0].text if asked else None
        else:
            (edit,) = sample_edits(scenes, [generator])
            text = edit.instruction if edit else None
        return None if text is None else generator_of(load_schema(self.schema)).read(text, rng)

    def figures(self, rows: Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """How many rows there are of each kind, and of each operation that a program begins with; and the share of the
        programs that each operation is in."""
        programs = [json.loads(program) for program in rows["asked_program"]]
        kinds = ["refused" if one is None else one["op"] for one in programs]
        operations = Counter(
            entry["op"]
            for one in programs
            if one is not None
            for entry in (one["steps"] if one["op"] == Edit.op else [one["asks"]])
        )
        within = Counter(name for one in programs if one is not None for name in set(_operations(one)))
        asking = sum(one is not None for one in programs)
        return {
            "kinds": dict(Counter(kinds)),
            "operations": dict(operations.most_common()),
            "shares": {name: round(count / asking, 4) for name, count in within.most_common()},
            "sources": dict(Counter(rows["source"])),
            "noise": dict(Counter(rows["noise"])),
            "with_a_dialogue": sum(dialogue != "[]" for dialogue in rows["dialogue"]),
            "words_a_text": round(float(np.mean([len(text.split()) for text in rows["text"]])), 2),
        }

    def about(self) -> str:
        return (
            "Some texts are drawn from Kyvo's grammar of English. The others are Kyvo's own questions and\n"
            "instructions about drawn CLEVR scenes. That grammar's parser gives the programs. Most drawn sentences\n"
            "must use a rule that was picked before, so that rare constructs come too. A drawn sentence is\n"
            "kept where the parser reads it back as the program that it was made from. One in eight drawn texts asks\n"
            "nothing that a scene could answer; its program is null. No text of another data set is in it.\n"
            f"Each row is set by the seed, {self.seed}, and its number alone."
        )


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"))


def _operations(data: Any) -> Iterator[str]:
    """The operation of each node of a program's JSON."""
    if isinstance(data, dict):
        yield data["op"]
    for entry in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _operations(entry)
