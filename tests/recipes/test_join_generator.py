"""Three trainings joined to one folder that makes objects; trainings that do not belong together are refused."""

from pathlib import Path

import loading
import pytest
import torch
import yaml

from kyvo.data.dataset import write_set
from kyvo.errors import CheckpointError
from kyvo.pipelines.objects import ObjectGenerator, Samples
from kyvo.shapes.object_sets import ObjectSet

pytest.importorskip("open3d")

SIDE = 16
VAE = {"latent_channels": 3, "channels": [8], "num_res_blocks": 1, "num_res_blocks_middle": 1, "patch_size": 4}
FLOW = {
    "model_channels": 24,
    "cond_channels": 8,
    "num_blocks": 1,
    "num_heads": 2,
    "patch_size": 2,
    "prediction": "data",
}
SMALL = {
    "picture": {"name": "SmallPictureEncoder", "args": {"channels": 8, "num_blocks": 1, "picture_size": 32}},
    "text": {"name": "SmallTextEncoder", "args": {"channels": 8, "num_blocks": 1, "num_places": 16}},
}


def train(program: str, config: dict, data: Path, out: Path) -> Path:
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config))
    with loading.program(f"recipes/{program}.py") as recipe:
        return recipe.main(["--config", str(path), "--data", str(data), "--out", str(out)])


def train_vae(data: Path, out: Path, *, seed: int) -> Path:
    networks = {part: {"name": f"SparseStructure{part.title()}", "args": VAE} for part in ("encoder", "decoder")}
    settings = {"steps": 1, "resolution": SIDE, "batch_size": 2, "seed": seed}
    return train("structure_vae", {**networks, "train": settings}, data, out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The folders `vae`, `other_vae`, `structure`, `further`, `other` and `slat`, each after one step."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "data"
    write_set(data, ObjectSet(count=4, seed=3, resolution=SIDE, pictures=1, size=32))
    train_vae(data, folder / "vae", seed=0)
    train_vae(data, folder / "other_vae", seed=1)
    settings = {"steps": 1, "batch_size": 2, "max_voxels": 3000}
    structure = {"resolution": 4, "in_channels": 3, "out_channels": 3, **FLOW}
    encoder = folder / "vae" / "step_000001" / "model" / "ss_enc"
    config = {"conditions": SMALL, "structure_encoder": str(encoder), "train": settings}
    train(
        "flow", {"model": {"name": "SparseStructureFlowModel", "args": structure}, **config}, data, folder / "structure"
    )
    model = folder / "structure" / "step_000001" / "model"
    slat = {"resolution": SIDE, "in_channels": 12, "out_channels": 12, "io_block_channels": [8], **FLOW}
    conditions = {kind: str(model / f"{kind}_encoder") for kind in ("picture", "text")}
    config = {"conditions": conditions, "structure_encoder": str(encoder), "train": settings}
    dense = {"name": "SparseStructureFlowModel", "args": structure}
    train("flow", {"model": dense, **config}, data, folder / "further")
    other = {"conditions": SMALL, "train": settings | {"seed": 5}, "structure_encoder": str(encoder)}
    train("flow", {"model": dense, **other}, data, folder / "other")
    train("flow", {"model": {"name": "SLatFlowModel", "args": slat}, **config}, data, folder / "slat")
    return folder


def join(runs: Path, out: Path, *, vae: str = "vae", structure: str = "structure", conditions: str = "") -> Path:
    arguments = ["--structure-vae", runs / vae, "--structure-flow", runs / structure, "--slat-flow", runs / "slat"]
    arguments += ["--conditions", runs / conditions / "step_000001" / "model"] if conditions else []
    with loading.program("recipes/join_generator.py") as program:
        return program.main([*map(str, arguments), "--out", str(out), "--half", "--steps", "2"])


def test_the_joined_folder_makes_objects_and_its_weights_are_16_bit(runs, tmp_path):
    folder = join(runs, tmp_path / "made")
    generator = ObjectGenerator.from_pretrained(folder)
    assert generator.structure_sampler.steps == 2
    word = next(word for word in generator.encoders["text"].config.words if len(word) > 2)
    condition = generator.condition(text=word)
    assert condition.tokens.shape[2] == 8
    cells = torch.tensor([[1, 1, 1], [2, 1, 1]])
    (made,) = generator.sample_details(condition, [cells], Samples())
    assert made.slat.feats.shape == (2, 12)
    weights = sum(parameter.numel() for parameter in generator.slat_flow.parameters())
    assert (folder / "ckpts" / "slat_flow.safetensors").stat().st_size < 2.5 * weights + 20_000


def test_encoders_come_from_the_training_that_is_named(runs, tmp_path):
    folder = join(runs, tmp_path / "made", structure="further", conditions="structure")
    assert set(ObjectGenerator.from_pretrained(folder).encoders) == {"picture", "text"}
    with pytest.raises(CheckpointError, match="trained with another picture"):
        join(runs, tmp_path / "other", structure="further", conditions="other")


def test_a_flow_of_another_vae_is_refused(runs, tmp_path):
    with pytest.raises(CheckpointError, match="trained with another structure_encoder"):
        join(runs, tmp_path / "made", vae="other_vae")


def test_a_folder_without_a_training_is_refused(runs, tmp_path):
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        join(runs, tmp_path / "made", vae="lost")
