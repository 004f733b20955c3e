import pytest
import torch

from kyvo.errors import CheckpointError
from kyvo.training.checkpoint import load_checkpoint, save_checkpoint


def save(folder, step, *, keep_last=2, write_model=lambda path: path.mkdir()):
    return save_checkpoint(folder, step=step, state={"step": step}, write_model=write_model, keep_last=keep_last)


def test_the_newest_is_found_and_old_ones_go(tmp_path):
    for step in (5, 10, 15, 20):
        save(tmp_path, step)
    assert load_checkpoint(tmp_path) == {"step": 20}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "step_000015", "step_000020"]


def test_a_save_that_dies_leaves_the_one_before(tmp_path):
    save(tmp_path, 5)

    def die(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 10, write_model=die)
    assert load_checkpoint(tmp_path) == {"step": 5}
    save(tmp_path, 10)
    assert load_checkpoint(tmp_path) == {"step": 10}


def test_resuming_without_a_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint to resume from.*train\.resume=false"):
        load_checkpoint(tmp_path)


def test_a_damaged_state_is_named(tmp_path):
    folder = save(tmp_path, 5)
    whole = (folder / "state.pt").read_bytes()
    (folder / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"step_000005/state\.pt: cannot be read"):
        load_checkpoint(tmp_path)


def test_the_newest_whole_one_is_taken_and_broken_ones_are_said(tmp_path, caplog):
    for step in (5, 10, 15):
        save(tmp_path, step, keep_last=3)
    for name, damage in (("step_000015", b""), ("step_000010", b"not what was written")):
        (tmp_path / name / "state.pt").write_bytes(damage)
    assert load_checkpoint(tmp_path) == {"step": 5}
    assert "skipped" in caplog.text and "step_000015" in caplog.text and "step_000010" in caplog.text


def test_the_pointer_may_name_an_older_one(tmp_path):
    for step in (5, 10):
        save(tmp_path, step)
    (tmp_path / "latest").write_text("step_000005\n")
    assert load_checkpoint(tmp_path) == {"step": 5}


def test_a_state_that_would_run_code_is_not_read(tmp_path):
    folder = save(tmp_path, 5)
    torch.save({"step": print}, folder / "state.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path)
