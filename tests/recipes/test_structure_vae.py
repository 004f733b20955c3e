"""The structure VAE learns, goes on to the bit, and gives latents of deviation 1."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import loading
import pytest
import torch
import yaml
from trainings import lines

from kyvo.data.dataset import write_set
from kyvo.errors import ConfigError
from kyvo.models.slat.load import load_network
from kyvo.shapes.flow_data import ObjectRows
from kyvo.shapes.object_sets import ObjectSet

ROOT = Path(__file__).resolve().parents[2]
SIDE = 16
SHARED = {"latent_channels": 3, "channels": [16], "num_res_blocks_middle": 1, "patch_size": 4}


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    with loading.program("recipes/structure_vae.py") as module:
        yield module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("open3d")
    folder = tmp_path_factory.mktemp("objects") / "set"
    write_set(folder, ObjectSet(count=6, seed=3, resolution=SIDE, pictures=1, size=32))
    return folder


def write_config(path: Path, *, decoder: dict | None = None, **train) -> Path:
    config = {
        "encoder": {"name": "SparseStructureEncoder", "args": {**SHARED, "num_res_blocks": 0}},
        "decoder": {"name": "SparseStructureDecoder", "args": {**SHARED, "num_res_blocks": 1} | (decoder or {})},
        "train": {"steps": 4, "resolution": SIDE, "batch_size": 2, "report_every": 1, "checkpoint_every": 2} | train,
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_config_that_is_shipped_takes_a_step_at_toy_size(recipe, data, tmp_path):
    config = yaml.safe_load((ROOT / "configs" / "flow" / "structure_vae_mini.yaml").read_text())
    config["train"] |= {"steps": 1, "batch_size": 2, "resolution": SIDE}
    (tmp_path / "shipped.yaml").write_text(yaml.safe_dump(config))
    recipe.main(["--config", str(tmp_path / "shipped.yaml"), "--data", str(data), "--out", str(tmp_path / "out")])
    assert lines(tmp_path / "out")[-1]["step"] == 1


def state(out: Path, step: int) -> dict:
    return torch.load(out / f"step_{step:06d}" / "state.pt", weights_only=True)


def test_a_training_that_goes_on_is_the_same_to_the_bit(recipe, data, tmp_path, monkeypatch):
    config = write_config(tmp_path / "a.yaml")
    common = ["--config", str(config), "--data", str(data)]
    recipe.main([*common, "--out", str(tmp_path / "whole")])
    with monkeypatch.context() as killed:
        step = recipe.Trainer.train_step

        def two_steps(self):
            if self.step == 2:
                raise KeyboardInterrupt
            return step(self)

        killed.setattr(recipe.Trainer, "train_step", two_steps)
        with pytest.raises(KeyboardInterrupt):
            recipe.main([*common, "--out", str(tmp_path / "cut")])
    recipe.main([*common, "--out", str(tmp_path / "cut"), "--resume"])
    one, other = state(tmp_path / "whole", 4), state(tmp_path / "cut", 4)
    for part in ("model", "average"):
        assert [name for name in one[part] if not torch.equal(one[part][name], other[part][name])] == []


@pytest.mark.slow
def test_the_networks_learn_and_the_saved_ones_have_latents_of_deviation_one(recipe, data, tmp_path):
    config = write_config(
        tmp_path / "a.yaml", steps=150, report_every=50, checkpoint_every=200, learning_rate=5e-3, ema_decay=0.9
    )
    arguments = ["--config", str(config), "--data", str(data), "--held-out", str(data)]
    out = recipe.main([*arguments, "--out", str(tmp_path / "out")])
    found = lines(out)
    assert found[-1]["loss"] < 0.7 * found[0]["loss"]
    assert found[-1]["held_out_iou"] > 0.5

    folder = out / "step_000150" / "model"
    encoder, decoder = (load_network(folder / name) for name in ("ss_enc", "ss_dec"))
    occupancy = ObjectRows.open([data], resolution=SIDE).occupancy(range(6))
    mean, _ = encoder(occupancy)
    assert mean.shape == (6, 3, 4, 4, 4)
    torch.testing.assert_close(mean.movedim(1, -1).flatten(0, -2).std(0), torch.ones(3), rtol=1e-3, atol=1e-3)
    made = decoder(mean)[:, 0] > 0
    iou = (made & (occupancy[:, 0] > 0)).sum() / (made | (occupancy[:, 0] > 0)).sum()
    assert float(iou) == pytest.approx(found[-1]["held_out_iou"], abs=0.05)


def test_networks_that_do_not_fit_together_are_refused(recipe, data, tmp_path):
    config = write_config(tmp_path / "a.yaml", decoder={"patch_size": 2})
    with pytest.raises(ConfigError, match="a grid 4 times smaller, the decoder takes 3 and 2"):
        recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
    config = write_config(tmp_path / "b.yaml", decoder={"patch_size": 3})
    with pytest.raises(ConfigError, match="patch_size is 3; it is 1, 2 or 4"):
        recipe.main(["--config", str(config), "--data", str(data), "--out", str(tmp_path / "out")])
