"""Language: JSON Lines of texts about scenes -> `Results`: what a parser understands, and what it rightly refuses.

Rows are those of `kyvo.data.language.cases`. A row's `source` and `construct` get figures of their own. A language
model that writes answers and scenes itself, as in the paper, gets figures beside the parser's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from kyvo.data.language.cases import Case, plain_answer, read_cases
from kyvo.errors import KyvoError
from kyvo.evaluation.inputs import Items
from kyvo.evaluation.results import Results, mean_figure
from kyvo.programs.clarification import parse_reply
from kyvo.programs.errors import ProgramError
from kyvo.programs.execute import answer, apply
from kyvo.programs.parsing import Parser, Turn
from kyvo.programs.pending import Pending
from kyvo.programs.program import Edit, Program
from kyvo.programs.wording import wording
from kyvo.scene.scene import Scene
from kyvo.scene.schema import SceneSchema

ALONE = "language model alone: "  # figures without programs, as in the paper
Writer = Callable[[Case], str | Scene]  # gives the answer to a question, or the scene after an edit

TOLERANCE = 0.05  # units that an object may stand off: the grid of the paper's best model


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a case."""

    right: bool
    refused: bool  # it was refused, rightly or not
    said: str  # the answer, the error, or what became of the scene
    reading: str = ""  # the program in words
    stored_right: bool | None = None  # the file's own program gives the file's answer
    alone_right: bool | None = None  # the answer or scene that the language model wrote itself


def read_case_items(path: Path) -> Items[Case]:
    """Raises SceneError as `read_cases` does."""
    items, faults = read_cases(path)
    return Items(path=path, items=items, faults=faults)


def evaluate_language(
    cases: Items[Case],
    parser: Parser,
    schema: SceneSchema,
    *,
    language_model: Writer | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Results:
    """Answers by exact match, edits by whole scenes, refusals by whether they are rightly made; with intervals over
    scenes, by source and construct.

    Args:
        language_model: writes answers and scenes itself; it is not given texts that have to be refused or that need
            an earlier turn.
        tolerance: units that each object of an edited scene may stand off.
    """
    keys = list(cases.items)
    rows = [cases.items[key] for key in keys]
    found = [judge(case, parser, schema, language_model=language_model, tolerance=tolerance) for case in rows]
    figures, tables = [], {}
    names = {"answer": "answers right", "scene_after": "whole scenes right", "refused": "refused rightly"}
    for kind, name in names.items():
        figures.append(
            mean_figure(
                name, [one.right for case, one in zip(rows, found, strict=True) if case.kind == kind], seed=seed
            )
        )
    stored = [one.stored_right for one in found if one.stored_right is not None]
    if stored:
        figures.append(mean_figure("stored programs right", stored, seed=seed))
    answerable = [one.refused for case, one in zip(rows, found, strict=True) if not case.refused]
    figures.append(mean_figure("answerable, but refused", answerable, seed=seed))
    for kind in ("answer", "scene_after"):
        alone = [one.alone_right for case, one in zip(rows, found, strict=True) if case.kind == kind]
        written = [right for right in alone if right is not None]
        if written:
            figures.append(mean_figure(ALONE + names[kind], written, seed=seed))
    for title, groups in (("source", lambda case: (case.source,)), ("construct", lambda case: case.constructs)):
        tables[f"by {title}"] = _by_group(title, groups, rows, found)
    return Results(
        kind="language",
        protocol={
            "name": "programs",
            "answers": "equal to the letter, blanks, case and a full stop at the end apart",
            "scenes": f"as many objects, each with the same words within {tolerance:g} units of its place",
            "refusals": "a named error, and the scene as it was",
            "schema": schema.name,
            "parser": type(parser).__name__,
        },
        inputs={"cases": cases.describe()},
        figures=figures,
        tables=tables,
        items=[
            {"key": key, "score": float(one.right), "kind": case.kind, "text": case.text, "said": one.said}
            | {"expected": _expected(case), "reading": one.reading, "source": case.source}
            | ({} if one.alone_right is None else {"language model alone": one.alone_right})
            for key, case, one in zip(keys, rows, found, strict=True)
        ],
        excluded=[{"key": key, "reason": fault} for key, fault in cases.faults.items()],
    )


def judge(
    case: Case, parser: Parser, schema: SceneSchema, *, language_model: Writer | None = None, tolerance: float
) -> Outcome:
    """Carries the text out and compares; so also the program that the file has, and what the language model writes."""
    outcome = _judge(case, parser, schema, tolerance=tolerance)
    if language_model is not None and not case.refused and not case.dialogue:
        outcome = replace(outcome, alone_right=_alone_right(case, language_model, schema, tolerance=tolerance))
    if case.stored is None:
        return outcome
    try:
        given = answer(case.stored, case.scene, schema).text
    except ProgramError:
        given = None
    return replace(outcome, stored_right=given is not None and plain_answer(given) == plain_answer(case.answer or ""))


def _alone_right(case: Case, language_model: Writer, schema: SceneSchema, *, tolerance: float) -> bool:
    try:
        written = language_model(case)
    except KyvoError:  # as where an object stands beyond the model's bins
        return False
    if case.scene_after is None:
        return plain_answer(str(written)) == plain_answer(case.answer or "")
    return isinstance(written, Scene) and same_scene(written, case.scene_after, schema, tolerance=tolerance)


def _judge(case: Case, parser: Parser, schema: SceneSchema, *, tolerance: float) -> Outcome:
    scene, turns, reading = case.scene, [], ""
    pending = Pending()

    def parsed(text: str) -> Program:
        said = turns if pending.refused is None else [*turns, pending.refused]
        return parse_reply(text, parser, schema, said, pending.clarification)[1].program

    try:
        for text in case.dialogue:
            try:
                program = parsed(text)
            except ProgramError as error:
                pending.not_understood(text, error)
                continue
            try:
                _, scene, turn = _carry_out(program, text, scene, schema, turns)
            except ProgramError as error:
                pending.not_done(text, program, scene, error)
                continue
            turns.append(turn)
            pending.clear()
        program = parsed(case.text)
        reading = wording(program)
        said, after, _ = _carry_out(program, case.text, scene, schema, turns)
    except ProgramError as error:
        return Outcome(right=case.refused, refused=True, said=f"{type(error).__name__}: {error}", reading=reading)
    if case.refused:
        right = False
    elif case.scene_after is not None:
        right = said is None and same_scene(after, case.scene_after, schema, tolerance=tolerance)
    else:
        right = said is not None and plain_answer(said) == plain_answer(case.answer or "")
    return Outcome(right=right, refused=False, said="the scene was changed" if said is None else said, reading=reading)


def same_scene(scene: Scene, truth: Scene, schema: SceneSchema, *, tolerance: float) -> bool:
    """Whether there is a pairing of all objects with equal words and places within `tolerance`."""
    if len(scene) != len(truth):
        return False
    if not len(scene):
        return True
    words = [field.name for field in schema.word_fields]

    def pair(ours: Any, true: Any) -> float:
        if any(ours.get(name) != true.get(name) for name in words):
            return np.inf
        return float(np.linalg.norm(np.subtract(ours.location or (0, 0, 0), true.location or (0, 0, 0))))

    far = np.array([[pair(ours, true) for true in truth.objects] for ours in scene.objects])
    fits = far <= tolerance + 1e-9
    rows, columns = linear_sum_assignment(~fits)
    return bool(fits[rows, columns].all())


def _carry_out(
    program: Program, text: str, scene: Scene, schema: SceneSchema, turns: Sequence[Turn]
) -> tuple[str | None, Scene, Turn]:
    """The answer, or None of an edit; the scene after; and the turn that later texts refer to."""
    if isinstance(program, Edit):
        done = apply(program, scene, schema, dialogue=turns)
        turn = Turn(
            text=text, program=program, mentioned=(*done.changed, *done.added), changed=done.changed,
            added=done.added, removed=done.removed, before=scene, after=done.scene,
        )  # fmt: skip
        return None, done.scene, turn
    given = answer(program, scene, schema, dialogue=turns)
    turn = Turn(text=text, program=program, mentioned=given.objects, before=scene, after=scene)
    return given.text, scene, turn


def _expected(case: Case) -> str:
    if case.refused:
        return "a refusal"
    return case.answer if case.answer is not None else "another scene"


def _by_group(
    title: str, groups: Callable[[Case], Sequence[str]], rows: Sequence[Case], found: Sequence[Outcome]
) -> list[dict[str, Any]]:
    """A row a group: how many cases it has, and the share that is right."""
    members: dict[str, list[Outcome]] = {}
    for case, one in zip(rows, found, strict=True):
        for name in groups(case):
            members.setdefault(name, []).append(one)

    def share(values: Sequence[bool]) -> float:
        return round(float(np.mean(values)), 4)

    lines = []
    for name, own in sorted(members.items()):
        if not name:
            continue
        line = {title: name, "cases": len(own), "right": share([one.right for one in own])}
        line["refused"] = share([one.refused for one in own])
        alone = [one.alone_right for one in own if one.alone_right is not None]
        if alone:
            line["language model alone"] = share(alone)
        lines.append(line)
    return lines
