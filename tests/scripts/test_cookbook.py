"""eval/cookbook.py at toy size: its arms reach the runs, finished runs are kept, tables land between their markers."""

import json
import re
from pathlib import Path

import loading
import pytest
import torch
from omegaconf import OmegaConf
from torch.nn.functional import gelu

from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.llama.embedding import CompositeEmbedding
from kyvo.processor import Processor
from kyvo.testing import tiny_image
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.init_weights import apply_init_weights
from kyvo.training.init_weights_files import CODE_ROWS, InitWeights
from kyvo.training.model import decoder

ROOT = Path(__file__).resolve().parents[2]
TOY = [
    "cookbook.scenes={small: 4, medium: 6, large: 8}", "cookbook.test_scenes=4", "cookbook.test_questions=6",
    "cookbook.test_pictures=2", "cookbook.workers=1", "model.size=kyvo_tiny", "train.max_steps=2", "train.batch_size=4",
    "train.warmup_steps=1", "train.num_threads=1", "train.precision=fp32", "train.log_every=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def program():
    with loading.program("eval/cookbook.py") as module:
        yield module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cookbook")
    tiny_image().save(path / "image")
    return path


@pytest.fixture(scope="module")
def call(program, folder):
    def run(*options, seeds=1):
        arguments = ["--work", str(folder / "work"), "--image-tokenizer", str(folder / "image"), *TOY]
        return program.main([*arguments, "--seeds", str(seeds), *options])

    return run


def lines(folder):
    return [json.loads(line) for line in (folder / "work" / "runs.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_an_ablation_runs_is_kept_and_lands_in_the_document(call, folder):
    page = folder / "page.md"
    page.write_text("before\n<!-- cookbook projector -->\nold\n<!-- end projector -->\nafter\n")
    tables = call("--only", "projector", "--write", str(page), seeds=2)
    runs = lines(folder)
    assert [(run["arm"]["projector"], run["seed"]) for run in runs] == [
        ("linear", 0), ("mlp", 0), ("linear", 1), ("mlp", 1),
    ]  # fmt: skip
    assert all(run["seconds"]["training"] > 0 and run["commit"] for run in runs)
    nats = [run["figures"]["nats_words"] for run in runs]
    assert len(set(nats)) == 4 and all(0 < value < 20 for value in nats)
    text = page.read_text()
    assert text.startswith("before\n<!--") and text.endswith("-->\nafter\n") and "old" not in text
    assert tables["projector"] in text and f"{sum(nats[::2]) / 2:.3f} (" in text
    assert (folder / "images" / "cookbook_projector.png").read_bytes()[:4] == b"\x89PNG"

    again = call("--only", "projector", seeds=2)
    assert again == tables and lines(folder) == runs
    assert not list((folder / "work" / "runs").iterdir())  # no weights are left
    call("--only", "projector", "--tables", "train.batch_size=3")
    assert lines(folder) == runs  # other settings, whose runs are not there


@pytest.mark.slow
def test_every_ablation_runs(call, program, folder):
    tables = call()
    assert "not run" not in "".join(tables.values()) and list(tables) == list(program.ABLATIONS)
    starts = [run for run in lines(folder) if run["arm"]["data"] == "single"]
    assert len(starts) == 1 and len(list((folder / "work" / "runs").iterdir())) == 1


def test_arms_change_what_they_name(program, folder):
    arms = [arm for ablation in program.ABLATIONS.values() for arm in ablation.arms]
    assert len(set(arms)) == 22 and arms.count(program.Arm()) == 4  # shared by four tables
    cookbook = program.Cookbook(folder / "work", folder / "image", _config(program))
    keys = {cookbook.key(arm, seed) for arm in {*arms, program.Arm(data="single")} for seed in (0, 1)}
    assert len(keys) == 46
    processors = {
        (step, center): Processor.from_pretrained(
            cookbook.processor(program.Arm(granularity=step, center_first=center))
        )
        for step in (0.05, 0.5)
        for center in (True, False)
    }
    assert [len(processors[step, True].vocabulary.numbers) for step in (0.05, 0.5)] == [121, 13]
    assert processors[0.05, True].center_first and not processors[0.05, False].center_first


def test_a_budget_that_does_not_fit_and_a_page_without_markers_are_refused(program, folder, tmp_path):
    with pytest.raises(ConfigError, match="large must be the largest"):
        program.Cookbook(tmp_path, folder / "image", _config(program, "cookbook.scenes.large=1"))
    with pytest.raises(ConfigError, match=r"cookbook\.sed is not a setting; did you mean cookbook\.seed\?"):
        program.Cookbook(tmp_path, folder / "image", _config(program, "cookbook.sed=1"))
    page = tmp_path / "page.md"
    page.write_text("no place")
    with pytest.raises(ConfigError, match="no place for order"):
        program.write_into(page, {"order": "table"})


def test_the_page_has_a_place_for_every_table(program):
    text = (ROOT / "docs" / "cookbook.md").read_text()
    assert re.findall(r"<!-- cookbook (\w+) -->", text) == list(program.ABLATIONS)
    assert re.findall(r"<!-- end (\w+) -->", text) == list(program.ABLATIONS)


def test_an_mlp_projects_codes_at_the_scale_and_folds():
    vocabulary = Vocabulary(name="toy", num_text=5, numbers=(0.0, 1.0), markers=("[A]",), num_image_codes=400)
    codebook = torch.randn(400, 16)
    torch.manual_seed(0)
    embedding = CompositeEmbedding(vocabulary=vocabulary, dim=64, image_codebook=codebook, projector="mlp", scale=0.1)
    image = embedding.image
    expected = gelu(codebook @ image.projection.weight.T) @ image.second.weight.T
    assert torch.allclose(embedding.table()[-400:], expected, atol=1e-6)
    assert torch.equal(embedding(torch.arange(len(vocabulary))), embedding.table())
    assert expected.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.15)


def test_folded_codes_do_not_start_an_mlp():
    vocabulary = Vocabulary(name="toy", num_text=5, numbers=(0.0, 1.0), markers=("[A]",), num_image_codes=4)
    model = decoder(vocabulary, torch.randn(4, 3), size="kyvo_tiny", projector="mlp")
    init = InitWeights(form="folded", weights={CODE_ROWS: torch.randn(4, 32)}, sources={})
    with pytest.raises(CheckpointError, match="cannot be solved for an MLP"):
        apply_init_weights(model, init, where="here")


def _config(program, *changes):
    return OmegaConf.merge(OmegaConf.load(ROOT / "configs" / "cookbook.yaml"), OmegaConf.from_dotlist([*TOY, *changes]))
