"""docs/tokens.md: its ranges, its scene and its tasks are those of the bundled model."""

import re
import runpy
from pathlib import Path

from kyvo.processor import Processor
from kyvo.scene.scene import Scene, SceneObject
from kyvo.tokenizers import tasks as tasks_module

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "tokens.md").read_text(encoding="utf-8")
PROCESSOR = Processor.from_pretrained(ROOT / "kyvo" / "assets" / "mini")


def test_the_ranges_are_those_of_the_bundled_vocabulary():
    vocabulary = PROCESSOR.vocabulary
    assert f"{len(vocabulary):,} ids" in PAGE
    for name, title in (("text", "text"), ("number", "numbers"), ("marker", "markers"), ("image", "image codes")):
        ids = vocabulary.ranges[name]
        assert f"| {title} | {ids.start:,} to {ids.stop - 1:,} |" in PAGE, (name, ids)
    assert not vocabulary.ranges["reserved"] and not vocabulary.ranges["shape"]


def test_the_scene_is_written_as_the_page_shows():
    cube = SceneObject(size="large", color="cyan", material="metal", shape="cube", location=(-0.55, 0.05, 0.7))
    vocabulary, text = PROCESSOR.vocabulary, PROCESSOR.text
    shown, pieces = [], []
    for token in [*PROCESSOR.builder.scenes.encode(Scene(objects=(cube,))), vocabulary.marker_id("[SCENE-END]")]:
        if token in vocabulary.ranges["text"]:
            pieces.append(token)
            continue
        if pieces:
            shown.append(text.decode(pieces).strip())
            pieces = []
        if token in vocabulary.ranges["number"]:
            shown.append(f"{vocabulary.numbers[token - vocabulary.ranges['number'].start]:.2f}")
        else:
            shown.append(vocabulary.markers[token - vocabulary.ranges["marker"].start])
    assert " ".join(shown[:-1]) in PAGE


def test_the_tasks_are_those_there_are():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ([\w, ]+) \|$", PAGE, re.MULTILINE)
    tasks = runpy.run_path(tasks_module.__file__)["TASKS"]  # programs of an ablation add their own to the module's
    assert {name: (given.split(", "), wanted.split(", ")) for name, given, wanted in rows} == {
        name: ([*task.inputs], [*task.outputs]) for name, task in tasks.items()
    }
