from typer.testing import CliRunner

from kyvo.cli.main import app

RUNNER = CliRunner()


def test_ls_lists_recipes_and_configs_with_what_they_are_for():
    done = RUNNER.invoke(app, ["recipes", "ls"])
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.output.splitlines()}
    assert lines["recipes/finetune.py"].startswith("Training of the language model")
    assert "configs/train/tiny.yaml" in lines and all(lines.values())


def test_cp_copies_a_config_and_overwrites_nothing(tmp_path):
    done = RUNNER.invoke(app, ["recipes", "cp", "configs/train/tiny.yaml", str(tmp_path)])
    assert done.exit_code == 0 and "kyvo.training.model.decoder" in (tmp_path / "tiny.yaml").read_text()
    again = RUNNER.invoke(app, ["recipes", "cp", "configs/train/tiny.yaml", str(tmp_path)])
    assert again.exit_code != 0 and "exists already" in str(again.exception)
    wrong = RUNNER.invoke(app, ["recipes", "cp", "configs/train/tny.yaml"])
    assert wrong.exit_code != 0 and "kyvo recipes ls" in str(wrong.exception)
