"""Answers: files of predictions and truths -> `Results`.

Read are JSONL (`key` and `answer`; the truth may add `family` and `type`), JSON of the forms `{key: answer}`,
`{"answers": [...]}` (the released code's) and `{"questions": [...]}` (CLEVR's), and an Arrow set with questions. Keys
of CLEVR's questions are their `question_index`, those of a set `<name>/<number>`. A question without an answer counts
as wrong, an answer to no question is left out; both are listed. A key that stands twice is an error.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kyvo.errors import SceneError
from kyvo.evaluation.inputs import Items, clean_key
from kyvo.evaluation.results import Figure, Results, mean_figure
from kyvo.metrics.answers import TrueAnswer, exact_matches, score_answers
from kyvo.metrics.release import answer_accuracy, clean_answer
from kyvo.scene.files import read_json


def read_answers(path: Path) -> Items[TrueAnswer]:
    """The answers of a file, by key. Raises SceneError for a file of no known form, or a key that stands twice."""
    items: dict[str, TrueAnswer] = {}
    faults: dict[str, str] = {}
    for key, row in _rows(path):
        if key in items or key in faults:
            raise SceneError(f"{path}: the key {key!r} stands twice; each question has one answer. Remove one.")
        answer = row.get("answer") if isinstance(row, dict) else row
        if isinstance(answer, bool | int):  # as in `{"answer": true}`: JSON has its own spelling of these
            answer = str(answer).lower()
        if not isinstance(answer, str):
            faults[key] = f"{path}: the answer to {key!r} is {answer!r}; a text is needed."
            continue
        about = row if isinstance(row, dict) else {}
        family = about.get("family", about.get("question_family_index", "all"))
        items[key] = TrueAnswer(text=answer, family=str(family), type=str(about.get("type") or ""))
    if not items and not faults:
        raise SceneError(f"{path}: holds no answer.")
    return Items(path=path, items=items, faults=faults)


def evaluate_answers(predictions: Items[TrueAnswer], truth: Items[TrueAnswer], *, seed: int = 0) -> Results:
    """Exact match in all, per family and per type, with what guessing scores. Raises SceneError without a question."""
    excluded = [{"key": key, "reason": f"the truth cannot be read: {fault}"} for key, fault in truth.faults.items()]
    for key in truth.items:
        if key not in predictions.items:
            why = predictions.faults.get(key, "there is no answer")
            excluded.append({"key": key, "reason": f"counts as wrong: {why}"})
    asked = truth.items.keys() | truth.faults.keys()
    unknown = [key for key in (*predictions.items, *predictions.faults) if key not in asked]
    excluded += [{"key": key, "reason": "the truth has no such key"} for key in unknown]
    if not truth.items.keys() & predictions.items.keys():
        raise SceneError(f"{predictions.path} and {truth.path} have no question in common.")
    keys = list(truth.items)
    truths = [truth.items[key] for key in keys]
    ours = [predictions.items[key].text if key in predictions.items else None for key in keys]
    right, scores = exact_matches(ours, truths), score_answers(ours, truths)
    whole = scores["all"]["all"]
    figures = [
        mean_figure("exact match", right, seed=seed),
        Figure(name="random", value=whole.random, count=whole.count),
        Figure(name="most frequent", value=whole.most_frequent, count=whole.count),
    ]
    for by in ("family", "type"):
        if len(scores[by]) > 1:
            for name in scores[by]:
                members = [index for index, true in enumerate(truths) if getattr(true, by) == name]
                figures.append(mean_figure(f"exact match, {by} {name}", right[members], seed=seed))
    return Results(
        kind="answers",
        protocol={
            "name": "paper",
            "source": "https://arxiv.org/abs/2506.08002",
            "score": "equal to the letter after blanks at the ends are cut; no answer is wrong",
            "random": "one of the answers of the question's type that occur in the truth",
            "most frequent": "the commonest answer of the question's type in the truth",
        },
        inputs={"predictions": predictions.describe(), "truth": truth.describe()},
        figures=figures,
        tables={
            f"per {by}": [{by: name, **asdict(score)} for name, score in scores[by].items()]
            for by in ("family", "type")
        },
        items=[
            {"key": key, "score": float(hit), "predicted": our}
            | {"true": true.text, "family": true.family, "type": true.type}
            for key, hit, our, true in zip(keys, right, ours, truths, strict=True)
        ],
        excluded=excluded,
    )  # fmt: skip


def evaluate_released_answers(predictions: Path, truth: Path, *, seed: int = 0) -> Results:
    """The figure of the released script: answers paired by their place in the two lists `answers`.

    Raises SceneError where a file has no such list or the lists differ in length, as the script does.
    """
    ours, theirs = (_released_list(path) for path in (predictions, truth))
    value = answer_accuracy([text for _, text in ours], [text for _, text in theirs])
    right = [clean_answer(our) == clean_answer(true) for (_, our), (_, true) in zip(ours, theirs, strict=True)]
    interval = mean_figure("exact match", right, seed=seed)
    items = [Items(path=path, items=dict(rows)) for path, rows in ((predictions, ours), (truth, theirs))]
    return Results(
        kind="answers",
        protocol={
            "name": "release",
            "source": "compute_text_answer_accuracy.py of the released code",
            "score": "equal to the letter without the text markers, the end token and blanks; by list position",
        },
        inputs={"predictions": items[0].describe(), "truth": items[1].describe()},
        figures=[Figure(name="exact match", value=value, low=interval.low, high=interval.high, count=len(theirs))],
        items=[
            {"key": key, "score": float(hit), "predicted": our, "true": true}
            for (key, true), (_, our), hit in zip(theirs, ours, right, strict=True)
        ],
    )


def _released_list(path: Path) -> Sequence[tuple[str, str]]:
    data = read_json(path)
    rows = data.get("answers") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise SceneError(f"{path}: has no list `answers`, which the released script reads.")
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or not isinstance(row.get("answer"), str):
            raise SceneError(f"{path}: answers[{index}] has no text `answer`.")
    return [(f"answers[{index}]", row["answer"]) for index, row in enumerate(rows)]


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    if path.is_dir():
        yield from _set_rows(path)
        return
    if path.suffix == ".jsonl":
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise SceneError(f"{path}: line {number}: not JSON ({error}).") from error
                yield _key_of(row, f"line {number}"), row
        return
    data = read_json(path)
    if not isinstance(data, dict):
        raise SceneError(f"{path}: answers are a JSON object or JSONL; this is neither.")
    for name in ("answers", "questions"):
        if isinstance(data.get(name), list):
            for index, row in enumerate(data[name]):
                if isinstance(row, dict) and isinstance(row.get("answer"), str):
                    row = {**row, "answer": clean_answer(row["answer"])}
                yield _key_of(row, f"{name}[{index}]"), row
            return
    for key, row in data.items():
        yield clean_key(key), row


def _set_rows(path: Path) -> Iterator[tuple[str, Any]]:
    from kyvo.data.dataset import open_set
    from kyvo.data.language.question_programs import answer_type

    rows = open_set(path)
    if "questions" not in rows.column_names:
        raise SceneError(f"{path}: the set has no column `questions`, but {', '.join(rows.column_names)}.")
    names = rows["name"] if "name" in rows.column_names else [f"{index:06d}" for index in range(len(rows))]
    for name, questions in zip(names, rows["questions"], strict=True):
        for number, question in enumerate(questions):
            program = question.get("program")
            kind = answer_type(json.loads(program)) if program else ""
            yield f"{clean_key(str(name))}/{number}", {**question, "type": kind}


def _key_of(row: Any, otherwise: str) -> str:
    for name in ("key", "question_index"):
        if isinstance(row, dict) and isinstance(row.get(name), str | int):
            return clean_key(str(row[name]))
    return otherwise
