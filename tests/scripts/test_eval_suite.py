import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import loading
import pytest

from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, EditSet, QuestionSet
from kyvo.data.language.edit_phrases import KINDS
from kyvo.models.heads.refiner import save_refiner
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.testing import tiny_kyvo, tiny_refiner

VIEW = {"seed": 0, "width": 24, "height": 16, "samples": 1}
SETS = {
    "clevr": ClevrSet(count=5, batch=5, **VIEW),
    "edits": EditSet(count=5, batch=5, **VIEW),
    "questions": QuestionSet(count=3, batch=3, questions=2, **VIEW),
}


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/suite.py") as module:
        yield module


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three sets, and a model of random weights."""
    folder = tmp_path_factory.mktemp("suite")
    for name, settings in SETS.items():
        write_set(folder / name, settings)
    tiny = tiny_kyvo()
    tiny.model.save_pretrained(folder / "model")
    tiny.processor.save(folder / "model")
    return folder


def arguments(folder, out, *more):
    sets = [word for name in SETS for word in (f"--{name}", str(folder / name))]
    small = ["--limit", "4", "--subset", "2", "--swaps", "1", "--batch-size", "3", "--device", "cpu"]
    return ["--model", str(folder / "model"), *sets, *small, "--out", str(out), *more]


def figures_of(levels, part):
    return {figure["name"]: figure for figure in levels["parts"][part]["figures"]}


@pytest.mark.slow
def test_every_part_is_measured_and_kept_with_its_items(program, folder, tmp_path, capsys):
    levels = program.main(arguments(folder, tmp_path, "--end-to-end"))
    assert json.loads((tmp_path / "suite.json").read_text()) == levels
    assert list(levels["parts"]) == list(program.PARTS)
    for part, name in program.TARGETS:
        assert name in figures_of(levels, part)
    for name in ("recognition", "rendering", "chain"):
        own = levels["parts"][name]["figures"]
        assert {figure["count"] for figure in own if not figure["name"].startswith("turn")} == {4}
        assert len((tmp_path / f"{name}.jsonl").read_text().splitlines()) == 4
    assert figures_of(levels, "swaps")["jaccard"]["count"] == 4
    assert levels["parts"]["chain"]["command"].startswith("python eval/suite.py --model")
    printed = capsys.readouterr().out.splitlines()
    line = next(line for line in printed if line.startswith("questions    exact match "))
    assert "0.4980  0.8000 reached" in line

    edits = figures_of(levels, "editing")
    assert edits["jaccard"]["count"] == edits["end to end: jaccard"]["count"] == 4
    assert edits["ssim"]["count"] == 2 and edits["end to end: l2"]["count"] <= 2
    assert edits["language model alone: jaccard"]["count"] == 2
    assert edits["nothing done: jaccard"]["count"] == 4
    assert edits["language model alone: jaccard"]["value"] < edits["nothing done: jaccard"]["value"] < 1
    assert edits["jaccard"]["value"] > 0.95, "programs do not depend on the model's weights, which are random"
    assert sum(edits[f"jaccard, {kind}"]["count"] for kind in KINDS) == 4
    asked = figures_of(levels, "questions")
    alone = "language model alone: exact match"
    assert (asked["exact match"]["count"], asked[f"{alone} with the picture"]["count"]) == (4, 2)
    assert asked["exact match"]["value"] >= 0.75 and asked[alone]["value"] < 0.75
    families = [name for name in asked if name.startswith("exact match, ")]
    assert sum(asked[name]["count"] for name in families) == 4
    assert {name.replace("exact match", "most frequent") for name in families} < asked.keys()


@pytest.mark.slow
def test_a_part_is_measured_again_only_where_its_settings_changed(program, folder, tmp_path, capsys):
    once = program.main(arguments(folder, tmp_path, "--only", "recognition,swaps"))
    again = program.main(arguments(folder, tmp_path, "--only", "recognition,swaps", "--limit", "2"))
    assert "swaps: taken from" in capsys.readouterr().err
    assert again["parts"]["swaps"] == once["parts"]["swaps"]
    assert figures_of(again, "recognition")["jaccard"]["count"] == 2
    (folder / "model" / "README.md").write_text("about the model")
    program.main(arguments(folder, tmp_path, "--only", "swaps"))
    assert "swaps: taken from" in capsys.readouterr().err
    with (folder / "model" / "vocabulary.json").open("a") as file:
        file.write("\n")
    program.main(arguments(folder, tmp_path, "--only", "swaps"))
    assert "swaps: taken from" not in capsys.readouterr().err


@pytest.mark.slow
def test_known_cameras_are_measured_apart(program, folder, tmp_path, capsys):
    refining = tmp_path / "model"
    copytree(folder / "model", refining)
    save_refiner(refining, tiny_refiner())
    only = ["--only", "recognition,rendering,swaps", "--model", str(refining)]
    items = []
    for more in ([], ["--gt-camera"]):
        levels = program.main([*arguments(folder, tmp_path / "out"), *only, *more])
        assert "taken from" not in capsys.readouterr().err
        items.append({part: (tmp_path / "out" / f"{part}.jsonl").read_text() for part in levels["parts"]})
    assert len(items[0]) == 3 and [part for part in items[0] if items[0][part] == items[1][part]] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "recognition,cooking"], "--only names cooking; the parts are recognition, editing"),
        (["--only", "chain,editing"], "chain, editing need --clevr and --edits"),
        ([], "name at least one set"),
        (["--limit", "0"], "must be at least 1"),
    ],
)
def test_wrong_usage_is_told(program, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        program.main(["--out", "out", *options])
    assert message in capsys.readouterr().err


def test_the_true_edit_scores_one_and_a_shifted_bystander_is_seen(program, folder):
    schema = clevr_schema()
    for row in open_set(folder / "edits"):
        target = program.scene_of(row, "target_scene")
        item = program.edit_scores(row, target, program.picture_of(row, "target_image"), schema)
        assert (item["jaccard"], item["untouched objects preserved"]) == (1, 1)
        assert item["ssim"] == pytest.approx(1) and item["l2"] == 0
        source = program.scene_of(row)
        kept = next(index for index, item in enumerate(target.objects) if item in source.objects)
        x, y, z = target.objects[kept].location
        objects = list(target.objects)
        objects[kept] = replace(objects[kept], location=(x, y - 0.1 if y > 0 else y + 0.1, z))
        moved = program.edit_scores(row, replace(target, objects=tuple(objects)), None, schema)
        assert moved["untouched objects preserved"] == 0 and "ssim" not in moved


def test_a_swap_changes_one_attribute_and_is_read_back_from_the_true_scene_alone(program, folder):
    swaps = program.draw_swaps(open_set(folder / "clevr"), 1)
    assert {swap.program["attribute"] for _, swap in swaps} == set(program.ATTRIBUTES)
    for _, swap in swaps:
        assert len(swap.source) == len(swap.target)
        assert program.is_change_recognized(swap.target, swap) == 1
        assert program.is_change_recognized(swap.source, swap) == 0


def test_each_scene_is_asked_once_before_any_is_asked_twice(program, folder):
    asked = program.draw_questions(open_set(folder / "questions"), 4)
    assert [index for _, index, _ in asked] == [0, 1, 2, 0]
    assert [key.rsplit("/")[-1] for key, _, _ in asked] == ["0", "0", "0", "1"]
