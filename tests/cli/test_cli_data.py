import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from kyvo.cli.main import app


def run(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)])


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A small set of each kind that is drawn."""
    folder = tmp_path_factory.mktemp("sets")
    for kind in ("clevr", "edits", "questions"):
        result = run(kind, "--count", 3, "--size", "48x32", "--seed", 1, "--out", folder / kind)
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.slow
def test_stats_count_what_the_set_holds_and_plot_it(sets, tmp_path):
    plot = tmp_path / "plot.png"
    result = run("stats", sets / "questions", "--plot", plot)
    assert result.exit_code == 0, result.output
    counted = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert sum(map(int, counted["family"][1::2])) == 30  # ten questions a row
    assert sum(map(int, counted["objects"][1::2])) == 3
    assert Image.open(plot).size[0] > 1000


@pytest.mark.parametrize(("kind", "columns"), [("clevr", 3), ("edits", 4), ("questions", 3)])
def test_show_writes_a_sheet_with_a_line_a_row(sets, tmp_path, kind, columns):
    result = run("show", sets / kind, "--out", tmp_path / "sheet.png", "--count", 2)
    assert result.exit_code == 0, result.output
    width, height = Image.open(tmp_path / "sheet.png").size
    assert width == 8 + columns * (96 + 8) and height == 26 + 2 * (64 + 8)


def test_a_set_that_is_not_there_is_a_line_and_exit_code_2(tmp_path):
    for command in ("stats", "show"):
        result = run(command, tmp_path)
        assert result.exit_code == 2 and f"kyvo data {command}: " in result.output, result.output


def test_validate_names_each_fault_and_ends_with_1(tmp_path):
    Image.new("RGB", (48, 32)).save(tmp_path / "a.png")
    item = {"shape": "cube", "size": "large", "color": "pink", "material": "metal", "location": [0, 0, 9]}
    scene = {
        "format": "kyvo.scene",
        "version": 1,
        "schema": "clevr",
        "frame": "world",
        "up_axis": "+z",
        "units": "clevr",
    }
    (tmp_path / "a.json").write_text(json.dumps({**scene, "objects": [item]}))
    (tmp_path / "b.json").write_text(json.dumps({**scene, "objects": []}))
    result = run("validate", tmp_path)
    assert result.exit_code == 1, result.output
    for part in ("a.json", "objects[0].color", "pink", "objects[0].location", "b.json"):
        assert part in result.output


def test_more_objects_than_fit_names_the_rule(tmp_path):
    result = run(
        "clevr", "--count", 1, "--min-objects", 30, "--max-objects", 30, "--size", "48x32", "--out", tmp_path / "x"
    )
    assert result.exit_code == 2 and "at most about 10 fit" in result.output
