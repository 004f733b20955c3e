import dataclasses
import json
import shutil
from pathlib import Path

import loading
import pytest
import torch
import yaml

from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set
from kyvo.errors import CheckpointError, ConfigError
from kyvo.models.slat.latent import PUBLISHED_MEAN, StructuredLatent
from kyvo.shapes.sets import write_drawn_latents
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.train_args import ShapeTrainArgs, build_shape_config
from kyvo.shapes.vqvae import ShapeVQVAE, shape_mini, shape_paper

ROOT = Path(__file__).resolve().parents[2]
TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture(scope="module")
def program():
    with loading.program("tokenizers/train_shape.py") as module:
        yield module


@pytest.fixture(scope="module")
def latents(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("latents")
    write_drawn_latents(folder, count=10, seed=0, resolution=16)
    return folder


def write_config(path: Path, *, model: dict | None = None, **train) -> Path:
    network = {
        "_component_": "kyvo.shapes.vqvae.ShapeVQVAEConfig",
        "kind": "surface",
        "resolution": 16,
        "widths": [16, 16],
        "num_res_blocks": 1,
        "num_res_blocks_middle": 0,
        "embed_dim": 4,
        "n_embed": 16,
        "feature_mean": [0.0] * 12,
        "feature_std": [0.5] * 12,
        "patch": 2,
    }
    settings = {"steps": 4, "batch_size": 2, "held_out": 2, "report_every": 1, "patience": 2, "render_size": 16}
    settings |= {"symmetries": True, "continuous": 0.25, "render_every": 2, "decays": True} | train
    path.write_text(yaml.safe_dump({"model": network | (model or {}), "train": settings}))
    return path


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_resumed_run_has_the_losses_and_weights_of_an_uninterrupted_one(program, latents, tmp_path, monkeypatch):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    arguments = ["--config", str(write_config(tmp_path / "a.yaml")), "--data", str(latents)]
    program.main([*arguments, "--out", str(whole)])

    # The same schedule, stopped after two steps as a killed run would be, with its state written.
    with monkeypatch.context() as killed:
        killed.setattr(program.Trainer, "progress", property(lambda self: 1.0 if self.step == 2 else self.step / 4))
        program.main([*arguments, "--out", str(halves)])
    program.main([*arguments, "--out", str(halves), "--resume"])

    measured = [
        {name: line[name] for name in line if name not in ("seconds", "objects_per_second")} for line in log(whole)
    ]
    assert len(measured) == 4 and "rendering" in measured[0] and "quantizer" in measured[1]
    assert measured == [
        {name: line[name] for name in line if name not in ("seconds", "objects_per_second")} for line in log(halves)
    ]
    one, other = (ShapeTokenizer.from_pretrained(out) for out in (whole, halves))
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


@pytest.mark.slow
def test_training_makes_objects_better_that_it_never_saw(program, latents, tmp_path):
    settings = {"steps": 80, "report_every": 80, "learning_rate": 3.0e-3, "render_weight": 0.0, "continuous": 0.5}
    config = write_config(tmp_path / "a.yaml", **settings)
    program.main(["--config", str(config), "--data", str(latents), "--out", str(tmp_path / "out")])
    config = write_config(tmp_path / "b.yaml", **(settings | {"steps": 1, "report_every": 1}))
    program.main(["--config", str(config), "--data", str(latents), "--out", str(tmp_path / "start")])
    before, after = log(tmp_path / "start")[-1], log(tmp_path / "out")[-1]
    assert after["reconstruction"] < 0.8 * before["reconstruction"]
    assert after["f_score"] > before["f_score"]


def test_a_folder_of_meshes_is_made_latents_beside_the_run(program, tmp_path, capsys):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    for number in range(4):
        (meshes / f"{number}.obj").write_text(TETRAHEDRON)
    (meshes / "empty.obj").write_text("v 0 0 0\n")
    config = write_config(tmp_path / "a.yaml", steps=1, render_weight=0.0)
    out = program.main(["--config", str(config), "--data", str(meshes), "--out", str(tmp_path / "out")])
    assert len(list((out / "latents_16").rglob("*.npz"))) == 4
    assert "left out: empty.obj" in capsys.readouterr().err


def test_drawn_meshes_are_as_many_as_the_config_says(program, tmp_path):
    config = write_config(tmp_path / "a.yaml", steps=1, render_weight=0.0)
    config.write_text(config.read_text() + "data:\n  count: 5\n")
    out = program.main(["--config", str(config), "--data", "procedural", "--out", str(tmp_path / "out")])
    assert len(list((out / "latents_16").rglob("*.npz"))) == 5


@pytest.mark.slow
def test_a_training_that_starts_from_a_tokenizer_has_its_codes_and_its_loss(program, latents, tmp_path):
    settings = {"steps": 30, "report_every": 30, "learning_rate": 3.0e-3, "render_weight": 0.0}
    config = write_config(tmp_path / "a.yaml", **settings)
    first = program.main(["--config", str(config), "--data", str(latents), "--out", str(tmp_path / "first")])
    more = {"steps": 1, "report_every": 1, "learning_rate": 1e-6, "continuous": 0.0, "color_weight": 1.0}
    config = write_config(tmp_path / "b.yaml", **(settings | more))
    arguments = ["--config", str(config), "--data", str(latents), "--out", str(tmp_path / "more")]
    program.main([*arguments, "--init", str(first)])
    (line,) = log(tmp_path / "more")
    assert 0 < line["color"] < 1
    assert line["f_score"] == pytest.approx(log(first)[-1]["f_score"], abs=0.05)
    with pytest.raises(ConfigError, match="--init: the tokenizer has other sizes"):
        other = write_config(tmp_path / "c.yaml", model={"n_embed": 8})
        program.main(["--config", str(other), *arguments[2:], "--init", str(first)])


@pytest.mark.slow
def test_several_folders_are_trained_on_together(program, latents, tmp_path):
    (tmp_path / "toys").mkdir()
    for number in range(3):
        (tmp_path / "toys" / f"{number}.obj").write_text(TETRAHEDRON)
    config = write_config(tmp_path / "a.yaml", steps=1, render_weight=0.0, held_out=12)
    arguments = ["--config", str(config), "--out", str(tmp_path / "out"), "--data", str(latents)]
    program.main([*arguments, str(tmp_path / "toys")])  # 13 objects
    with pytest.raises(ConfigError, match="two folders have one name"):
        program.main([*arguments, str(latents)])


def test_what_cannot_be_trained_is_refused_before_it_starts(program, latents, tmp_path):
    def run(config: Path, *more: str) -> None:
        program.main(["--config", str(config), "--data", str(latents), "--out", str(tmp_path / "out"), *more])

    with pytest.raises(ConfigError, match=r"train\.learning_rat is not a setting; did you mean train\.learning_rate"):
        run(write_config(tmp_path / "a.yaml", learning_rat=1.0))
    with pytest.raises(ConfigError, match=r"--data has 10 objects and train\.held_out is 10"):
        run(write_config(tmp_path / "b.yaml", held_out=10))
    with pytest.raises(ConfigError, match=r"train\.gaussian_decoder is empty"):
        run(write_config(tmp_path / "c.yaml", model={"kind": "trellis"}))
    with pytest.raises(CheckpointError, match=r"no .*training\.pt to resume from"):
        run(write_config(tmp_path / "d.yaml"), "--resume")


def test_every_shipped_config_builds(tmp_path):
    few = shape_mini(widths=(48, 128, 256))
    assert few.num_codes == 64
    for name, preset in (("shape_mini", shape_mini()), ("shape_mini_64", few), ("shape_paper", shape_paper())):
        config = yaml.safe_load((ROOT / "configs" / "tokenizers" / f"{name}.yaml").read_text())
        assert build_shape_config(config["model"]) == preset
        assert from_section(ShapeTrainArgs, config["train"]).batch_size == 8


@pytest.fixture(scope="module")
def tokenizer(program, latents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    config = write_config(folder / "a.yaml", steps=1, render_weight=0.0)
    return program.main(["--config", str(config), "--data", str(latents), "--out", str(folder / "out")])


def test_corrections_are_fitted_to_a_trained_tokenizer_and_a_training_goes_on_without_them(
    program, tokenizer, latents, tmp_path
):
    fit = ["--shape-tokenizer", str(tokenizer), "--data", str(latents), "--rounds", "1", "--iterations", "1"]
    with loading.program("tokenizers/fit_corrections.py") as fitting:
        corrected = fitting.main([*fit, "--out", str(tmp_path / "corrected")])
    found, before = (ShapeTokenizer.from_pretrained(folder) for folder in (corrected, tokenizer))
    assert dataclasses.replace(found.config, correction_rounds=0, correction_rank=0) == before.config
    assert found.config.correction_rounds == 1 and torch.equal(found.codebook, before.codebook)
    config = write_config(tmp_path / "a.yaml", steps=1, render_weight=0.0)
    again = ["--config", str(config), "--data", str(latents), "--init", str(corrected), "--out", str(tmp_path / "out")]
    assert ShapeTokenizer.from_pretrained(program.main(again)).config == before.config


def test_meshes_become_codes_with_what_was_lost_beside_them(tokenizer, tmp_path, capsys):
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    (meshes / "good.obj").write_text(TETRAHEDRON)
    (meshes / "empty.obj").write_text("v 0 0 0\n")
    with loading.program("tokenizers/encode_shapes.py") as encode:
        encode.main(["--data", str(meshes), "--shape-tokenizer", str(tokenizer), "--out", str(tmp_path / "codes")])
    assert "left out: empty.obj" in capsys.readouterr().err
    row = open_set(tmp_path / "codes")[0]
    assert row["name"] == "good.obj" and len(row["codes"]) == 64
    assert row["cells_f_score"] > 0.9 and row["cells_chamfer"] < 0.01
    assert 0 <= row["f_score"] <= 1 and row["chamfer"] > row["cells_chamfer"]
    assert "empty.obj" in json.loads((tmp_path / "codes" / "card.json").read_text())["left_out"]


def test_latents_become_codes_as_the_tokenizer_itself_gives_them(tokenizer, latents, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(latents / "000003.npz", few)
    with loading.program("tokenizers/encode_shapes.py") as encode:
        out = encode.main(["--data", str(few), "--shape-tokenizer", str(tokenizer), "--out", str(tmp_path / "codes")])
    row = open_set(out)[0]
    latent = StructuredLatent.load(few / "000003.npz", resolution=16)
    assert row["codes"] == ShapeTokenizer.from_pretrained(tokenizer).encode([latent])[0].tolist()
    assert row["cells_f_score"] is None


def random_latent(resolution: int) -> StructuredLatent:
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(resolution, (3000, 3), generator=generator).unique(dim=0)
    feats = torch.randn(len(coords), 8, generator=generator) + torch.tensor(PUBLISHED_MEAN)
    return StructuredLatent(coords=coords, feats=feats, resolution=resolution)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_papers_network_trains_a_step_and_tokenizes_on_a_cpu(program):
    # The step is on half the grid, an eighth of the work; no weight's shape depends on the grid.
    args = ShapeTrainArgs(steps=1, batch_size=1, held_out=0, render_weight=0.0)
    trainer = program.Trainer(dataclasses.replace(shape_paper(), resolution=32), args, [random_latent(32)])
    trainer.make_codebook(num_objects=2)
    before = trainer.model.decoder.out_layer[2].weight.detach().clone()
    losses = trainer.train_step()
    assert losses["loss"] > 0 and trainer.step == 1
    assert not torch.equal(before, trainer.model.decoder.out_layer[2].weight)

    with torch.device("meta"):
        model = ShapeVQVAE(shape_paper())
    model.load_state_dict(trainer.model.state_dict(), assign=True)
    tokenizer = ShapeTokenizer(model)
    codes = tokenizer.encode([random_latent(64)])
    assert codes.shape == (1, 512)
    assert tokenizer.decode(codes)[0].feats.shape[1] == 8
