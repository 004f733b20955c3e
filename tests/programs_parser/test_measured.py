"""The parser measured on CLEVR's own question templates and on what people ask, where the data is there."""

import json
from pathlib import Path

import numpy as np
import pytest
from program_readings import CLEVR, program

from kyvo.data.language.clevr_templates import read_clevr_templates
from kyvo.data.language.edits import sample_edit
from kyvo.data.language.questions import sample_questions
from kyvo.programs.errors import ProgramError
from kyvo.programs.execute import answer, apply
from kyvo.programs.program import Query
from kyvo.scene.clevr import load_clevr
from kyvo.scene.scene import Scene, SceneObject


def answered(text: str, scene: Scene) -> str | None:
    try:
        asked = program(text)
        return answer(asked, scene, CLEVR).text if isinstance(asked, Query) else None
    except ProgramError:
        return None


def test_clevrs_templates_give_the_right_answers(shared_data: Path) -> None:
    templates = read_clevr_templates(
        shared_data / "clevr" / "generator" / "question_generation" / "CLEVR_1.0_templates"
    )
    scenes = load_clevr(shared_data / "clevr" / "clevr_pairs_scenes.json")[:5]
    wrong = []
    for number, scene in enumerate(scenes):
        chance = np.random.default_rng(number)
        for question in sample_questions(scene, chance, count=9, templates=templates):
            if answered(question.text, scene) != question.answer:
                wrong.append(question.text)
    assert not wrong


def test_our_own_edits_are_read(shared_data: Path) -> None:
    scenes = load_clevr(shared_data / "clevr" / "clevr_pairs_scenes.json")[:20]
    chance = np.random.default_rng(0)
    for scene in scenes:
        edit = sample_edit(scene, chance, kind="remove")
        if edit is not None:
            done = apply(program(edit.instruction), scene, CLEVR)  # type: ignore[arg-type]
            assert done.scene.objects == edit.target.objects, edit.instruction


@pytest.mark.slow
def test_most_of_what_people_ask_is_answered(shared_data: Path) -> None:
    rows = map(json.loads, (shared_data / "language" / "clevr_humans.jsonl").read_text(encoding="utf-8").splitlines())
    known = [row for row in rows if row["scene"] and "needs_picture" not in (row.get("tags") or ())]
    right = sum(answered(row["text"], _scene(row["scene"])) == row["answer"] for row in known)
    assert right / len(known) > 0.7


def _scene(rows: list[dict]) -> Scene:
    return Scene(
        objects=tuple(
            SceneObject(
                location=tuple(row["3d_coords"]), **{name: row[name] for name in ("size", "color", "material", "shape")}
            )
            for row in rows
        )
    )
