"""eval/tables.py: published figures beside ours, notes where the protocol differs, and what is refused."""

import json

import loading
import pytest

from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.results import Figure, Results, save_results

TAUS = [0.05, 0.1, 0.15, 0.2, 0.25]


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/tables.py") as module:
        yield module


def scenes(value: float = 0.5, *, taus: list[float] = TAUS, count: int = 2000) -> Results:
    figure = Figure(name="jaccard", value=value, low=value - 0.01, high=value + 0.01, count=count)
    return Results(
        kind="scenes",
        protocol={"name": "paper", "schema": "clevr", "taus": taus},
        figures=[figure],
        inputs={"truth": {"name": "test", "sha256": "0123456789abcdef"}},
    )


def people(models: list[str]) -> Results:
    figures = [
        Figure(name=f"{name}: {model}", value=value, count=50)
        for name, value in (("mean rank", 1.5), ("winning rate", 0.25), ("mean score", 0.75))
        for model in models
    ]
    return Results(kind="human_eval", protocol={"models": models}, figures=figures)


def cells(text: str, row: str, whose: str) -> list[str]:
    """The columns of a table's line."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} | {whose} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def test_the_published_tables_are_whole_and_are_the_papers(program):
    published = json.loads(program.PUBLISHED.read_text())
    for table in published["tables"].values():
        assert table["source"] and set(table["columns"]) <= published["columns"].keys()
        for values in table["rows"].values():
            assert len(values) == len(table["columns"])
            assert any(value is not None for value in values)
    text = program.make_tables(None, published)
    assert cells(text, "0.05", "paper")[:4] == ["1.2000", "0.9212", "0.8666", "0.4980"]  # table 3
    assert cells(text, "Cube R-CNN (DLA-34)", "paper") == ["", "", "", "0.4012", "0.2208"]  # table 5a
    assert cells(text, "LoRA", "paper")[1:4] == ["0.8684", "0.8680", "0.3950"]  # table 5b
    assert " ours " not in text


def test_the_full_model_has_the_same_figures_in_every_table(program):
    """Rendering apart: a mean rank depends on the others that were ranked."""
    tables = json.loads(program.PUBLISHED.read_text())["tables"]
    same = (
        ("granularity", "0.05"),
        ("encodings", "hybrid"),
        ("recipes", "full"),
        ("backbones", "Llama-3.2-1B-Instruct"),
    )
    for column in ("recognition", "instruction", "answers", "ssim", "l2"):
        found = {tables[table]["rows"][row][tables[table]["columns"].index(column)] for table, row in same}
        assert len(found) == 1, column


def test_our_figures_stand_below_the_published_ones_and_new_rows_below_all(program, tmp_path):
    save_results(scenes(0.5), tmp_path / "granularity" / "0.05" / "recognition.json")
    save_results(scenes(0.25), tmp_path / "granularity" / "0.1" / "recognition.json")
    text = program.main([str(tmp_path), "--out", str(tmp_path / "new" / "tables.md")])
    assert (tmp_path / "new" / "tables.md").read_text() == text
    assert text.count("## ") == 1  # tables without results of ours are left out
    assert cells(text, "0.05", "paper") == ["0.9212"]
    assert cells(text, "0.05", "ours") == ["0.5000 (0.4900 to 0.5100) [1]"]
    assert cells(text, "0.1", "ours") == ["0.2500 (0.2400 to 0.2600) [1]"]
    assert "1. Recognition, Jaccard: ours on test (sha256 0123456789ab)." in text
    assert "arXiv:2506.08002v2, tables 3 and 7" in text


def test_a_note_says_where_the_protocol_differs_from_the_papers(program, tmp_path):
    save_results(scenes(taus=[0.25], count=100), tmp_path / "tasks" / "mini" / "recognition.json")
    text = program.main([str(tmp_path)])
    assert "taus of ours: 0.25; the paper's: 0.05, 0.1, 0.15, 0.2, 0.25." in text
    assert "100 items in ours, 2000 in the paper." in text
    save_results(scenes(), tmp_path / "tasks" / "mini" / "recognition.json")
    text = program.main([str(tmp_path)])
    assert "taus of ours" not in text and "in the paper" not in text


def test_a_study_of_people_fills_its_columns_for_all_its_models(program, tmp_path):
    save_results(people(["scratch", "full"]), tmp_path / "recipes" / "human_eval.json")
    text = program.main([str(tmp_path)])
    assert cells(text, "scratch", "ours") == ["1.5000 [1]", "0.2500 [2]", "0.7500 [3]"]
    assert "ranks hold among the models ranked together; ours: scratch, full." in text
    save_results(people(["scratch", "LoRA", "full"]), tmp_path / "recipes" / "human_eval.json")
    assert "ranks hold" not in program.main([str(tmp_path)])


def test_two_protocols_in_one_column_are_refused(program, tmp_path):
    save_results(scenes(), tmp_path / "recipes" / "full" / "recognition.json")
    save_results(scenes(taus=[0.25]), tmp_path / "recipes" / "LoRA" / "recognition.json")
    with pytest.raises(ConfigError, match=r"follow different protocols \(taus: .* do not compare"):
        program.main([str(tmp_path)])


@pytest.mark.parametrize(
    ("place", "results", "message"),
    [
        ("speed/mini/recognition", scenes(), "not of the form TABLE/ROW/FILE.json"),
        ("recognition", scenes(), "not of the form TABLE/ROW/FILE.json"),
        (
            "recipes/full/taste",
            scenes(),
            "recipes takes the files human_eval, recognition, instruction, answers",
        ),
        ("recipes/full/answers", scenes(), "holds scenes; 'Answers, exact match' takes answers"),
        ("recipes/recognition", scenes(), "Put it into a folder called as the row"),
        ("recipes/full/human_eval", people(["full"]), "ranks hold among the models of one study"),
        ("tasks/mini/recognition", Results(kind="scenes", protocol={}, figures=[]), "no figure is called 'jaccard'"),
    ],
)
def test_files_that_belong_nowhere_are_refused(program, tmp_path, place, results, message):
    save_results(results, tmp_path / f"{place}.json")
    with pytest.raises(ConfigError, match=message):
        program.main([str(tmp_path)])


def test_what_is_no_result_file_or_no_folder_is_refused(program, tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        program.main([str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="holds no results for any table"):
        program.main([str(tmp_path)])
    path = tmp_path / "tasks" / "mini" / "recognition.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(SceneError, match="no result file"):
        program.main([str(tmp_path)])


def test_tables_are_listed_and_chosen_by_name(program, capsys):
    assert "recipes: Training recipes, CLEVR" in program.main(["--list"])
    text = program.main(["--tables", "recipes"])
    assert text.startswith("## Training recipes") and text.count("## ") == 1
    with pytest.raises(SystemExit):
        program.main(["--tables", "speed"])
    assert "no table is called speed; known are tasks, granularity" in capsys.readouterr().err
