"""Every program from `kyvo data scenes` to scenes by tokens, at the smallest size: a scene is made, drawn, measured."""

from pathlib import Path

import loading
import pytest
from datasets import load_from_disk
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import OmegaConf
from tiny_generators import SIDE
from tiny_scene_tokens import SCHEMA
from tiny_scenes import write_scenes
from tiny_shapes import tiny_tokenizer

from kyvo.cli.main import run
from kyvo.data.dataset import open_set
from kyvo.errors import ConfigError
from kyvo.scene.files import load_scene
from kyvo.testing import tiny_image

pytest.importorskip("open3d")

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "train" / "scene_tokens.yaml"
TOY = [
    "model.size=kyvo_tiny",
    "train.max_steps=12",
    "train.batch_size=4",
    "train.warmup_steps=2",
    "train.decay_steps=2",
]
TOY += ["train.precision=fp32", "train.num_threads=1", "train.save_every=12"]
TEXT = "kyvo/assets/mini/tokenizer.model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A set of scenes, both tokenizers, the processor, and the set's codes."""
    found = tmp_path_factory.mktemp("tokens")
    write_scenes(found / "scenes", count=4, max_objects=2)
    tiny_image().save(found / "image")
    tiny_tokenizer().save(found / "shape")
    tokenizers = ["--image-tokenizer", found / "image", "--shape-tokenizer", found / "shape"]
    text = Path(__file__).resolve().parents[2] / TEXT
    with loading.program("tokenizers/build_processor.py") as build:
        build.main(list(map(str, ["--schema", SCHEMA, "--text", text, *tokenizers, "--out", found / "processor"])))
    with loading.program("tokenizers/encode.py") as encode:
        encode.main(list(map(str, ["--data", found / "scenes", *tokenizers, "--out", found / "codes"])))
    return found


def kyvo(*words) -> int:
    with pytest.raises(SystemExit) as stopped:
        run(list(map(str, words)))
    return int(stopped.value.code or 0)


@pytest.mark.slow
def test_rows_keep_pictures_and_scenes_with_codes_and_other_grids_are_refused(folder, tmp_path):
    coded = load_from_disk(str(folder / "codes"))
    assert set(coded.column_names) == {"codes", "scene"} and len(coded) == 4
    (tmp_path / "scene.json").write_text(coded[0]["scene"])
    scene = load_scene(tmp_path / "scene.json")
    assert scene.schema == "scene-shapes" and scene.camera is not None
    assert all(len(item.shape_codes) == 64 and item.extra["scale"] > 0 for item in scene.objects)
    words = ["--data", folder / "scenes", "--image-tokenizer", folder / "image", "--shape-tokenizer", "mini"]
    with loading.program("tokenizers/encode.py") as encode, pytest.raises(ConfigError, match="scenes on a grid of 16"):
        encode.main(list(map(str, [*words, "--out", tmp_path / "codes"])))


@pytest.mark.slow
def test_from_scenes_to_a_model_that_makes_scenes_and_draws_them_again(folder, tmp_path):
    overrides = [f"output_dir={tmp_path / 'run'}", f"processor={folder / 'processor'}", *TOY]
    overrides += [f"data.folders=[{folder / 'codes'}]"]
    cfg = OmegaConf.merge(OmegaConf.load(CONFIG), OmegaConf.from_dotlist(overrides))
    recipe = FinetuneRecipe(cfg)
    recipe.setup(cfg)
    recipe.train()
    recipe.cleanup()
    model = tmp_path / "run" / (tmp_path / "run" / "latest").read_text().strip() / "model"

    open_set(folder / "scenes")[0]["image"].save(tmp_path / "room.png")
    outs = [word for name in ("scene.json", "scene.glb", "sheet.png") for word in ("--out", tmp_path / name)]
    assert kyvo("generate", "scene", tmp_path / "room.png", "--method", "tokens", "--model", model, *outs) == 0
    made = load_scene(tmp_path / "scene.json")
    assert len(made) and all(len(item.shape_codes) == 64 for item in made.objects)
    assert kyvo("render", tmp_path / "scene.json", "--model", model, "--out", tmp_path / "drawn") == 0
    assert (tmp_path / "drawn" / "scene.png").is_file()

    words = ["--data", folder / "scenes", "--method", "tokens", "--language-model", model, "--limit", 1]
    words += ["--resolution", SIDE, "--points", 300, "--out", tmp_path / "report"]
    with loading.program("eval/scenes.py") as program:
        results = program.main(list(map(str, words)))["tokens"]
    assert not results.excluded and 0 <= results.figure("Jaccard").value <= 1
    assert "| Jaccard |" in (tmp_path / "report" / "table.md").read_text()
