"""`FoundProgramsSet`: questions of a file with their scenes and right answers, and the programs that a search finds.

The file is JSON Lines of `{"text": ..., "scene": ..., "answer": ...}`, as `kyvo evaluate language` reads it. The rows
have the columns of `kyvo.data.language.sentence_sets.LanguageSet`, so that both train the task `parsing`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from kyvo.data.dataset import SetSettings, SkippedItem
from kyvo.data.language.cases import Case, read_cases
from kyvo.data.language.program_search import Found, search
from kyvo.data.language.sentence_sets import LanguageSet
from kyvo.errors import ConfigError
from kyvo.extras import extra
from kyvo.programs.json_form import to_json
from kyvo.scene.builtin_schemas import load_schema

with extra("data"):
    from datasets import Dataset, Features


@dataclass(frozen=True, kw_only=True)
class FoundProgramsSet(SetSettings):
    """Questions and their programs; those without one are left out with the reason. `count` is all questions."""

    questions: str  # JSON Lines
    seed: int
    schema: str = "clevr"

    kind: ClassVar[str] = "programs"
    what: ClassVar[str] = "Questions about scenes with programs found by search"
    columns: ClassVar[dict[str, str]] = LanguageSet.columns | {
        "source": "reading or reworded: how the program was found",
        "noise": "none: texts are as the file has them",
    }
    features: ClassVar[Features] = LanguageSet.features
    license: ClassVar[str] = "other"  # the file's

    @classmethod
    def of(cls, questions: Path, *, schema: str, seed: int) -> "FoundProgramsSet":
        """Raises ConfigError for a file without a question that has an answer, SceneError for one that has no cases."""
        found = cls(count=1, questions=str(questions), schema=schema, seed=seed)
        if not found.asked:
            raise ConfigError(
                f"{questions}: none of its {len(found.cases):,} cases has an `answer` and no `dialogue`; a "
                "program is found by the answer."
            )
        return replace(found, count=len(found.asked))

    @property
    def cases(self) -> dict[str, Case]:
        return self._read[0]

    @property
    def _read(self) -> tuple[dict[str, Case], dict[str, str]]:
        path = Path(self.questions)
        return _cases(path, path.stat().st_mtime_ns if path.is_file() else 0)  # who reads it says so

    @property
    def asked(self) -> list[str]:
        """The ids of the questions with an answer, and without a dialogue before them."""
        return [key for key, case in self.cases.items() if case.kind == "answer" and not case.dialogue]

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any] | SkippedItem]:
        schema, keys = load_schema(self.schema), self.asked
        for index in indices:
            case = self.cases[keys[index]]
            found = search(case.text, case.scene, case.answer or "", schema, seed=self.seed)
            if not isinstance(found, Found):
                yield SkippedItem(name=keys[index], reason=found.value)
                continue
            yield {
                "text": case.text,
                "dialogue": "[]",
                "asked_program": json.dumps(to_json(found.program), separators=(",", ":")),
                "source": found.way,
                "noise": "none",
            }

    def figures(self, rows: Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """How many questions there were, how those that were kept got a program, and why the others have none."""
        operations = Counter(json.loads(program)["asks"]["op"] for program in rows["asked_program"])
        return {
            "questions": self.count,
            "sources": dict(Counter(rows["source"])),
            "operations": dict(operations.most_common()),
            "without_a_program": dict(Counter(item.reason for item in missing)),
        }

    def source_notes(self) -> list[str]:
        faults = [f"{key}: {fault}" for key, fault in self._read[1].items()]
        if len(faults) > 1:
            faults = [f"{len(faults):,} lines are no cases; the first is {faults[0]}"]
        others = len(self.cases) - len(self.asked)
        return faults + ([f"{others:,} cases are no questions with an answer and no dialogue"] if others else [])

    def about(self) -> str:
        return (
            f"The questions are those of `{Path(self.questions).name}`, with that file's license. Their programs are\n"
            "found by search: each gives the file's answer on the file's scene. Candidates are the likely readings of\n"
            "Kyvo's grammar, and where none of them is right, those with empty words left out or an unknown word\n"
            "replaced. A question is kept where all candidates with the right answer agree on further scenes. Some\n"
            "programs may still be right by chance."
        )


@lru_cache(maxsize=1)
def _cases(questions: Path, changed: int) -> tuple[dict[str, Case], dict[str, str]]:
    """The cases of a file and its faults, read anew when it was changed."""
    return read_cases(questions)
