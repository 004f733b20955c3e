import torch
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.models.llama.presets import kyvo_tiny
from kyvo.testing import tiny_llama
from kyvo.training.init_weights_files import read_init_weights

RUNNER = CliRunner()


def test_convert_writes_what_a_training_takes_and_says_what_it_mapped(tmp_path):
    theirs = tiny_llama(64)
    theirs.save_pretrained(tmp_path / "llama")
    done = RUNNER.invoke(
        app, ["model", "convert", str(tmp_path / "llama"), "--size", "kyvo_tiny", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert "model.embed_tokens.weight" in done.output and "-> layers.0.attn.q_proj.weight [32, 32]" in done.output
    init = read_init_weights(tmp_path / "out", size=kyvo_tiny())
    assert torch.equal(init.weights["tok_embeddings.text.weight"], theirs.model.embed_tokens.weight)


def test_convert_refuses_another_size_by_name_and_writes_nothing(tmp_path):
    tiny_llama(64).save_pretrained(tmp_path / "llama")
    done = RUNNER.invoke(
        app, ["model", "convert", str(tmp_path / "llama"), "--size", "kyvo_1b", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code != 0 and "hidden_size 32, the size has 2048" in str(done.exception)
    assert not (tmp_path / "out").exists()
