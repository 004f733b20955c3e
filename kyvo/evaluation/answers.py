"""Answers: files of predictions and truths -> `Results`.

Read are JSONL (`key` and `answer`; the truth may add `family`, `type` and `image`), JSON of the forms `{key: answer}`,
`{"answers": [...]}` (the released code's) and `{"questions": [...]}` (CLEVR's), a text file with an answer a line in
the order of the questions (CLEVR's form of predictions), and an Arrow set with questions. Keys of CLEVR's questions are
their `question_index`, those of a set `<name>/<number>`. A question without an answer counts as wrong, an answer to no
question is left out; both are listed. A key that stands twice is an error.

JSON's numbers and booleans are answers too: 3 and 3.0 are "3"; true is "yes", or "true" where the other file says so.
Questions about one picture are not independent, so intervals come from a bootstrap over pictures.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kyvo.errors import SceneError
from kyvo.evaluation.inputs import Items, clean_key
from kyvo.evaluation.results import Figure, Results, share_figure
from kyvo.metrics.answers import TrueAnswer, exact_matches, score_answers
from kyvo.metrics.release import answer_accuracy, clean_answer
from kyvo.scene.files import parse_json, read_json, read_lines

FORMS = "JSONL, JSON, a text file (.txt) with an answer a line, or an Arrow set"
_SPELLINGS = {"true": "yes", "false": "no"}  # JSON's booleans -> answers


def read_answers(path: Path, questions: Path | None = None) -> Items[TrueAnswer]:
    """The answers of a file, by key.

    Args:
        path: see the module.
        questions: the file whose questions a text file answers, line by line.

    Raises:
        SceneError: a file of no known form, a key that stands twice, or a text file of another length than `questions`.
    """
    items: dict[str, TrueAnswer] = {}
    faults: dict[str, str] = {}
    for key, row in _rows(path, questions):
        if key in items or key in faults:
            raise SceneError(f"{path}: the key {key!r} stands twice; each question has one answer. Remove one.")
        about = row if isinstance(row, dict) else {"answer": row}
        text = _text_of(about.get("answer"))
        if text is None:
            faults[key] = f"{path}: the answer to {key!r} is {_shown(about)}; a text, a number or a boolean is needed."
            continue
        named = (about.get(name) for name in ("family", "question_family_index"))
        family = next((name for name in named if name is not None), "all")
        items[key] = TrueAnswer(
            text=text,
            family=str(family),
            type=str(about.get("type") or ""),
            boolean=isinstance(about["answer"], bool),
            picture=_picture_of(about),
        )
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
    excluded += [{"key": key, "reason": predictions.faults.get(key, "the truth has no such key")} for key in unknown]
    for source in (truth, predictions):
        if not source.items:
            raise SceneError(
                f"{source.path} has {len(source.faults)} questions and no answer to any of them, as the files of a "
                f"test split; the first reason: {next(iter(source.faults.values()))}"
            )
    if not truth.items.keys() & predictions.items.keys():
        raise SceneError(
            f"{predictions.path} and {truth.path} have no question in common; their first keys are "
            f"{next(iter(predictions.items))!r} and {next(iter(truth.items))!r}."
        )
    keys = list(truth.items)
    truths = [truth.items[key] for key in keys]
    ours = [_as_spelled(predictions.items.get(key), truth.items[key]) for key in keys]
    right, scores = exact_matches(ours, truths), score_answers(ours, truths)
    whole = scores["all"]["all"]
    figures = [
        share_figure("exact match", right, groups=_pictures(truths), seed=seed),
        Figure(name="random", value=whole.random, count=whole.count),
        Figure(name="most frequent", value=whole.most_frequent, count=whole.count),
    ]
    for by in ("family", "type"):
        if len(scores[by]) > 1:
            for name in scores[by]:
                members = [index for index, true in enumerate(truths) if getattr(true, by) == name]
                groups = _pictures([truths[index] for index in members])
                figures.append(share_figure(f"exact match, {by} {name}", right[members], groups=groups, seed=seed))
    return Results(
        kind="answers",
        protocol={
            "name": "paper",
            "source": "https://arxiv.org/abs/2506.08002",
            "score": "equal to the letter after blanks at the ends are cut; no answer is wrong",
            "random": "one of the answers of the question's type that occur in the truth",
            "most frequent": "the commonest answer of the question's type in the truth",
            "intervals": "bootstrap over pictures; Wilson's over pictures where all or none are right",
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
    interval = share_figure("exact match", right, groups=range(len(right)), seed=seed)
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
        if not isinstance(row, dict) or _text_of(row.get("answer")) is None:
            raise SceneError(f"{path}: answers[{index}] has no text `answer`.")
    return [(f"answers[{index}]", str(_text_of(row["answer"]))) for index, row in enumerate(rows)]


def _text_of(answer: Any) -> str | None:
    """The text of an answer in JSON; None for what is none."""
    if isinstance(answer, bool):
        return _SPELLINGS[str(answer).lower()]
    if isinstance(answer, float) and answer.is_integer():
        return str(int(answer))
    if isinstance(answer, int | float) and math.isfinite(answer):
        return str(answer)
    return answer if isinstance(answer, str) and answer.strip() else None


def _as_spelled(ours: TrueAnswer | None, true: TrueAnswer) -> str | None:
    """The text of an answer; a boolean of JSON in either file also is the word "true" or "false" of the other."""
    if ours is None:
        return None
    if ours.boolean and _SPELLINGS.get(true.text.strip().lower()) == ours.text:
        return true.text
    if true.boolean:
        return _SPELLINGS.get(ours.text.strip().lower(), ours.text)
    return ours.text


def _shown(row: dict[str, Any]) -> str:
    return json.dumps(row["answer"])[:80] if "answer" in row else "missing"


def _pictures(truths: Sequence[TrueAnswer]) -> list[str]:
    """The picture of each question; one whose picture is unknown has a group of its own."""
    return [true.picture or f"question {index}" for index, true in enumerate(truths)]


def _picture_of(row: dict[str, Any]) -> str:
    names = (row.get(name) for name in ("image", "image_filename", "image_index"))
    return next((clean_key(str(name)) for name in names if isinstance(name, str | int)), "")


def _rows(path: Path, questions: Path | None = None) -> Iterator[tuple[str, Any]]:
    if path.is_dir():
        yield from _set_rows(path)
    elif path.suffix.lower() == ".txt":
        yield from _text_rows(path, questions)
    elif path.suffix.lower() in (".jsonl", ".ndjson"):
        yield from _line_rows(path)
    else:
        try:
            data = read_json(path)
        except SceneError as error:
            raise SceneError(f"{error} Answers are read from {FORMS}.") from error
        yield from _json_rows(path, data)


def _json_rows(path: Path, data: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(data, dict):
        raise SceneError(f"{path}: is no JSON object with answers. Answers are read from {FORMS}.")
    for name in ("answers", "questions"):
        if isinstance(data.get(name), list):
            for index, row in enumerate(data[name]):
                if isinstance(row, dict) and isinstance(row.get("answer"), str):
                    row = {**row, "answer": clean_answer(row["answer"])}
                yield _key_of(row, f"{name}[{index}]"), row
            return
    for key, row in data.items():
        yield clean_key(key), row


def _line_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            row = parse_json(line, f"{path}: line {number}")
            yield _key_of(row, f"line {number}"), row


def _text_rows(path: Path, questions: Path | None) -> Iterator[tuple[str, str]]:
    lines = [line.strip() for line in _lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    if any(line.startswith(("{", "[")) for line in lines):
        raise SceneError(f"{path}: holds JSON, which a text file of answers does not; name it .jsonl or .json.")
    keys = [str(index) for index in range(len(lines))] if questions is None else [key for key, _ in _rows(questions)]
    if len(keys) != len(lines):
        raise SceneError(
            f"{path}: has {len(lines)} lines, {questions} has {len(keys)} questions; a text file has a line for each "
            "question, in their order. Give JSONL with a `key` to answer some of them."
        )
    yield from zip(keys, lines, strict=True)


def _lines(path: Path) -> list[str]:
    try:
        return read_lines(path)
    except SceneError as error:
        raise SceneError(f"{error} Answers are read from {FORMS}, in UTF-8.") from error


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
            yield f"{clean_key(str(name))}/{number}", {**question, "type": kind, "image": str(name)}


def _key_of(row: Any, otherwise: str) -> str:
    for name in ("key", "question_index"):
        value = row.get(name) if isinstance(row, dict) else None
        if isinstance(value, float) and value.is_integer():  # as pandas writes a column that once lacked a number
            value = int(value)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return clean_key(str(value))
    return otherwise
