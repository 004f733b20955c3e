"""CLEVR's question files: questions about scenes of another file, with answers and the programs that give them.

The file is an object with a list `questions`, whose rows have `question`, `answer`, the scene's `image_filename` or
`image_index`, and mostly `program` (https://arxiv.org/abs/1612.06890).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kyvo.data.language.cases import Case, word
from kyvo.errors import KyvoError, SceneError
from kyvo.evaluation.inputs import Items
from kyvo.programs.clevr import from_clevr
from kyvo.scene.clevr import load_clevr
from kyvo.scene.files import read_json
from kyvo.scene.scene import Scene


def read_questions(path: Path, scenes: Path) -> Items[Case]:
    """The questions of a file as cases, by their `question_index` or place. Raises SceneError for a file without any.

    Args:
        scenes: CLEVR's scenes of the same pictures.
    """
    data = read_json(path)
    rows = data.get("questions") if isinstance(data, Mapping) else None
    if not isinstance(rows, list):
        raise SceneError(f"{path}: CLEVR's question files are an object with a list `questions`; this has none.")
    found = load_clevr(scenes)
    by_name = {scene.image: scene for scene in found if scene.image}
    items: dict[str, Case] = {}
    faults: dict[str, str] = {}
    for place, row in enumerate(rows):
        key = str(row.get("question_index", place)) if isinstance(row, Mapping) else str(place)
        try:
            case = _case(row, found, by_name, scenes)
            if key in items:
                raise SceneError(f"the question_index {key} stands twice; each question has its own.")
            items[key] = case
        except KyvoError as error:
            faults[key] = str(error)
    if not items:
        raise SceneError(f"{path}: no question can be taken. The first fault: {next(iter(faults.values()), 'none')}")
    return Items(path=path, items=items, faults=faults)


def _case(row: Any, scenes: Sequence[Scene], by_name: Mapping[str, Scene], path: Path) -> Case:
    for name in ("question", "answer"):
        if not isinstance(row, Mapping) or row.get(name) is None:
            raise SceneError(f"has no {name}, which each question of CLEVR's has (those of its test split have none).")
    program = row.get("program")
    return Case(
        text=str(row["question"]),
        scene=_scene(row, scenes, by_name, path),
        answer=word(row["answer"]),
        stored=None if program is None else from_clevr(_with_inputs(program)),
        source=str(row.get("split") or ""),
        constructs=(str(row["question_family_index"]),) if "question_family_index" in row else (),
    )


def _scene(row: Mapping[str, Any], scenes: Sequence[Scene], by_name: Mapping[str, Scene], path: Path) -> Scene:
    name, index = row.get("image_filename"), row.get("image_index")
    if isinstance(name, str) and name in by_name:
        return by_name[name]
    if not by_name and isinstance(index, int) and 0 <= index < len(scenes):
        return scenes[index]
    raise SceneError(f"is about {name or f'picture {index}'}, of which {path} has no scene.")


def _with_inputs(program: Any) -> Any:
    """Steps with `value_inputs`, which some files call `side_inputs`, and with `function`, which some call `type`."""
    if not isinstance(program, list):
        return program
    return [
        {
            "function": step.get("function", step.get("type")),
            "inputs": step.get("inputs"),
            "value_inputs": step.get("value_inputs", step.get("side_inputs", [])),
        }
        if isinstance(step, Mapping)
        else step
        for step in program
    ]
