"""The programs of examples/ run from start to end, and are notebooks in jupytext's percent format."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WRITES = {  # what each leaves below out/examples
    "01_recognize_a_folder": "scenes/clevr_5.json",
    "02_edit_by_chat": "talk.json",
    "03_serve_and_call": None,
    "04_fine_tune": "tuned/step_000020/model/config.json",
    "05_shapes": "chair_again.glb",
}
SAYS = {
    "01_recognize_a_folder": "done clevr_0.json 7 objects",
    "02_edit_by_chat": "3 (2, 4, 6)",
    "03_serve_and_call": "6 objects after the edit",
    "04_fine_tune": "objects",
    "05_shapes": "(1, 512) tokens, each below 2048",
}


def test_the_table_above_names_every_example():
    assert [path.stem for path in EXAMPLES] == sorted(WRITES) == sorted(SAYS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_cells_have_the_percent_format(path):
    cells = path.read_text(encoding="utf-8").split("# %%")
    assert cells[0] == "" and cells[1].startswith(" [markdown]\n# # ") and len(cells) >= 5
    for cell in cells[1:]:
        head, *lines = cell.splitlines()
        assert head in ("", " [markdown]")
        if head:
            assert all(line.startswith("#") for line in lines if line)


def run(stem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{stem}.py"), run_name="__main__")
    assert SAYS[stem] in capsys.readouterr().out
    if WRITES[stem]:
        assert (tmp_path / "out" / "examples" / WRITES[stem]).stat().st_size > 100


@pytest.mark.slow
@pytest.mark.parametrize("stem", [stem for stem in WRITES if stem != "04_fine_tune"])
def test_it_runs(stem, tmp_path, monkeypatch, capsys):
    run(stem, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
def test_fine_tuning_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run("04_fine_tune", tmp_path, monkeypatch, capsys)
