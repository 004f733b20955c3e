"""Language cases: sentences of ordinary people with what is right for each -> JSON Lines of `kyvo evaluate language`.

`edits.txt`, `questions.txt`, `refusals.txt`, `wider.txt`, `fresh.txt`, `plain.txt`, `later.txt`, `last.txt`,
`chat.txt`, `users.txt`, `careful.txt`, `free.txt`, `mixed.txt` and `varied.txt` hold a line a case, under a heading
of its construct:

    scene | text, with earlier texts before `>>` | what is right

A scene is a number, or `*` where any will do; its objects are counted from left to right. `s3` is the fourth of the
samples that Kyvo brings, with its objects in their order. What is right is an answer,
`!` for a refusal, `=` for the scene as it was, or changes: `3.color=red` sets a word, `-3` removes, `3~4` swaps places,
`3.left=1.5` moves.
The rights were written down by hand before any parser read the texts. `python make_cases.py` writes the files again.
"""

import copy
import itertools
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.clevr.sampling import ClevrRules, sample_scenes
from kyvo.scene.files import load_scene
from kyvo.scene.relations import CLEVR_DIRECTIONS

HERE = Path(__file__).parent
NAMES = (
    "edits",
    "questions",
    "refusals",
    "wider",
    "fresh",
    "plain",
    "later",
    "last",
    "chat",
    "users",
    "careful",
    "free",
    "mixed",
    "varied",
)
NUM_SCENES = 20
RADIUS = {"small": 0.35, "large": 0.7}
WORDS = {"size", "color", "material", "shape"}
CHANGE = re.compile(r"-\d+|\d+~\d+|\d+\.\w+=\S+")


def main() -> None:
    scenes = draw_scenes()
    for name in NAMES:
        (HERE / f"{name}.jsonl").write_text(written(name, scenes), encoding="utf-8")


def written(name: str, scenes: list[list[dict[str, Any]]]) -> str:
    lines = [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows(name, scenes)]
    return "\n".join(lines) + "\n"


def draw_scenes() -> list[list[dict[str, Any]]]:
    """Objects in CLEVR's form, from left to right."""
    drawn = sample_scenes(range(NUM_SCENES), seed=24, width=480, height=320, rules=ClevrRules(max_objects=9))
    scenes = []
    for scene in drawn:
        objects = [
            {word: item.get(word) for word in sorted(WORDS)}
            | {
                "3d_coords": [round(value, 4) for value in item.location or ()],
                "rotation": round(item.extra["rotation"]),
            }
            for item in scene.objects
        ]
        scenes.append(sorted(objects, key=lambda item: np.dot(item["3d_coords"], CLEVR_DIRECTIONS["right"])))
    return scenes


def sample(number: int) -> list[dict[str, Any]]:
    """Objects of a picture that Kyvo brings, in CLEVR's form."""
    scene = load_scene(Path(str(files("kyvo"))) / "assets" / "samples" / f"clevr_{number}.json")
    return [
        {word: item.get(word) for word in sorted(WORDS)}
        | {"3d_coords": [round(value, 4) for value in item.location or ()], "rotation": 0}
        for item in scene.objects
    ]


def rows(name: str, scenes: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    made, construct = [], ""
    anywhere = itertools.cycle(range(NUM_SCENES))
    for line in (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            construct = line[2:]
            continue
        number, said, right = (part.strip() for part in line.split(" | "))
        *dialogue, text = said.split(" >> ")
        if number.startswith("s"):
            scene = sample(int(number[1:]))
        else:
            scene = scenes[next(anywhere) if number == "*" else int(number)]
        row = {"id": f"{name}-{len(made)}", "construct": construct, "text": text}
        row |= {"dialogue": dialogue} if dialogue else {}
        made.append(row | {"scene": scene} | expectation(right, scene, line))
    return made


def expectation(right: str, scene: list[dict[str, Any]], line: str) -> dict[str, Any]:
    if right == "!":
        return {"refused": True}
    if right == "=":
        return {"scene_after": scene}
    changes = right.split()
    if not all(CHANGE.fullmatch(change) for change in changes):
        return {"answer": right}
    after, gone = copy.deepcopy(scene), set()
    for change in changes:
        if change.startswith("-"):
            gone.add(int(change[1:]))
        elif "~" in change:
            one, other = (after[int(index)] for index in change.split("~"))
            for axis in (0, 1):  # each keeps its height: it still stands on the floor
                one["3d_coords"][axis], other["3d_coords"][axis] = other["3d_coords"][axis], one["3d_coords"][axis]
        else:
            index, name, value = re.split(r"[.=]", change, maxsplit=2)
            set_or_move(after[int(index)], name, value, line)
    after = [item for index, item in enumerate(after) if index not in gone]
    check(after, line)
    return {"scene_after": after}


def set_or_move(item: dict[str, Any], name: str, value: str, line: str) -> None:
    if name in WORDS:
        assert item[name] != value, f"{line}: the object is {value} already."
        item[name] = value
        item["3d_coords"][2] = RADIUS[item["size"]]
    else:
        moved = np.add(item["3d_coords"], float(value) * np.asarray(CLEVR_DIRECTIONS[name]))
        item["3d_coords"] = [round(float(axis), 4) for axis in moved]


def check(scene: list[dict[str, Any]], line: str) -> None:
    """What is right must be possible: within CLEVR's floor, and without overlap."""
    for item in scene:
        assert max(map(abs, item["3d_coords"][:2])) <= 3.0, f"{line}: {item} stands off the floor."
    for one, other in itertools.combinations(scene, 2):
        apart = np.linalg.norm(np.subtract(one["3d_coords"][:2], other["3d_coords"][:2]))
        assert apart > RADIUS[one["size"]] + RADIUS[other["size"]], f"{line}: {one} and {other} overlap."


if __name__ == "__main__":
    main()
