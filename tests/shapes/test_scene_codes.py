"""Shapes in scenes, end to end: meshes -> codes -> training -> decoded scenes -> one GLB."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from datasets import Dataset, Features, Image, Value, load_from_disk
from kyvo.recipes.finetune import FinetuneRecipe
from loading import program
from omegaconf import OmegaConf

from kyvo.api import Kyvo
from kyvo.data.dataset import picture_cell, scene_cell
from kyvo.data.meshes.objaworld import PARK, sample_scene
from kyvo.data.meshes.procedural import procedural_library
from kyvo.errors import CheckpointError, ConfigError, SceneError
from kyvo.export.formats import export_scene
from kyvo.processor import Processor
from kyvo.scene.builtin_schemas import load_schema, objaworld_shapes_sized_schema
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import CHANNELS, extract_mesh
from kyvo.shapes.mesh import normalized
from kyvo.shapes.scene_codes import library_codes, shape_meshes, with_shapes
from kyvo.shapes.surfaces import colored_mesh, place_shapes
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.vqvae import ShapeVQVAE, ShapeVQVAEConfig
from kyvo.testing import tiny_image, tiny_text
from kyvo.tokenizers.vocabulary import Vocabulary

TINY = Path(__file__).resolve().parents[2] / "configs" / "train" / "tiny_shapes.yaml"
LIBRARY = procedural_library(variants=1)


@pytest.fixture(scope="module")
def tokenizer() -> ShapeTokenizer:
    """Surface features on a grid of 8 -> 2x2x2 of 16 codes, random weights."""
    torch.manual_seed(0)
    config = ShapeVQVAEConfig(
        kind="surface", resolution=8, widths=(8, 16, 16), num_res_blocks=1, num_res_blocks_middle=0, embed_dim=4,
        n_embed=16, feature_mean=(0.1,) * CHANNELS, feature_std=(0.5,) * CHANNELS,
    )  # fmt: skip
    return ShapeTokenizer(ShapeVQVAE(config))


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    rules = replace(PARK, max_objects=2)
    return [sample_scene(LIBRARY, rng=rng, rules=rules, width=24, height=16) for _ in range(6)]


def coded(scene, tokenizer):
    names = [item.extra["asset"] for item in scene.objects]
    return with_shapes(scene, LIBRARY, library_codes(LIBRARY, names, tokenizer))


def test_each_object_gets_its_assets_codes_and_size(tokenizer, drawn):
    scene = coded(drawn[0], tokenizer)
    for item in scene.objects:
        asset = LIBRARY.assets[item.extra["asset"]]
        alone = tokenizer.encode([surface_latent(normalized(asset), resolution=8)])[0]
        assert item.shape_codes == tuple(alone.tolist())
        assert item.dimensions[1] == pytest.approx(np.ptp(asset.triangles[..., 2]))  # the height is along z


def test_an_asset_that_is_not_there_is_named(tokenizer, drawn):
    with pytest.raises(SceneError, match="the asset 'unicorn' is not in the library"):
        library_codes(LIBRARY, ["unicorn"], tokenizer)
    with pytest.raises(SceneError, match=r"objects\[0\].asset is .*, whose shape has no codes"):
        with_shapes(drawn[0], LIBRARY, {})


def test_a_shape_stands_in_the_glb_where_its_object_stood_as_large_and_turned_as_it_was(drawn, tmp_path):
    """Without the network's loss: the surface features of the asset itself."""
    scene = drawn[0]
    codes = {item.extra["asset"]: (0,) * 8 for item in scene.objects}
    scene = with_shapes(scene, LIBRARY, codes)
    cubes = {}
    for index, item in enumerate(scene.objects):
        asset = normalized(LIBRARY.assets[item.extra["asset"]])
        cubes[index] = colored_mesh(extract_mesh(surface_latent(asset, resolution=32)))
    export_scene(scene, tmp_path / "scene.glb", meshes=place_shapes(scene, cubes))

    again = trimesh.load(tmp_path / "scene.glb")
    meshes = [name for name in again.graph.nodes_geometry if again.graph.transforms.children.get(name) is None]
    placed = [again.geometry[again.graph[name][1]].copy().apply_transform(again.graph[name][0]) for name in meshes]
    for item in scene.objects:
        asset = LIBRARY.assets[item.extra["asset"]]
        turn = trimesh.transformations.euler_matrix(*item.pose)[:3, :3]
        points = asset.triangles.reshape(-1, 3) @ turn.T + np.array(item.location)
        low, high = (np.array([f(points[:, 0]), f(points[:, 2]), f(-points[:, 1])]) for f in (np.min, np.max))
        cell = max(item.dimensions) / 32
        assert any(np.abs(mesh.bounds - [low, high]).max() < 1.5 * cell for mesh in placed), item


def test_objects_with_codes_have_a_mesh_and_others_have_none(tokenizer, drawn):
    scene = next(scene for scene in drawn if len(scene) == 2)
    both = coded(scene, tokenizer)
    one = replace(both, objects=(scene.objects[0], both.objects[1]))
    assert set(shape_meshes(both, tokenizer)) == {0, 1}
    assert set(shape_meshes(one, tokenizer)) == {1}
    assert shape_meshes(scene, tokenizer) == {}


def test_codes_of_latents_that_have_no_surface_are_refused(tokenizer, drawn):
    other = replace(tokenizer.config, kind="trellis", feature_mean=(0.0,) * 3, feature_std=(1.0,) * 3)
    with pytest.raises(ConfigError, match="kind 'trellis'; their meshes come from a decoder of their own"):
        shape_meshes(coded(drawn[0], tokenizer), ShapeTokenizer(ShapeVQVAE(other)))


def tiny_schema():
    codes, *others = objaworld_shapes_sized_schema().fields
    return replace(objaworld_shapes_sized_schema(), fields=(replace(codes, num_codes=8), *others))


def tiny_processor(tokenizer) -> Processor:
    schema = tiny_schema()
    vocabulary = Vocabulary.for_schema(schema, num_text=tiny_text().size, num_image_codes=16, num_shape_codes=16)
    return Processor(vocabulary=vocabulary, schema=schema, text=tiny_text(), image=tiny_image(), shape=tokenizer)


def test_a_processor_keeps_its_shape_tokenizer_and_refuses_one_that_does_not_fit(tokenizer, tmp_path):
    processor = tiny_processor(tokenizer)
    processor.save(tmp_path)
    again = Processor.from_pretrained(tmp_path)
    assert again.shape.sha256 == tokenizer.sha256
    with pytest.raises(CheckpointError, match=r"gives 8 codes an object, the field shape_codes .* has 512"):
        replace(processor, schema=load_schema("objaworld-shapes-sized"))
    with pytest.raises(CheckpointError, match=r"has 0 codes, the vocabulary .* 16; they must be made for each other"):
        replace(processor, shape=None)


@pytest.mark.slow
def test_from_pictures_of_meshes_to_a_model_that_writes_and_reads_shapes(tokenizer, drawn, tmp_path):
    """Every program on the way, at the smallest size: encode, recipe for both tasks, recognition, rendering, export."""
    tiny_processor(tokenizer).save(tmp_path / "processor")
    random = np.random.default_rng(0)
    rows = [
        {
            "image": picture_cell(random.integers(0, 256, (16, 24, 3), dtype=np.uint8), "a.png"),
            "scene": scene_cell(scene),
        }
        for scene in drawn
    ]
    library = tmp_path / "assets"
    write_library(library)
    Dataset.from_list(rows, features=Features({"image": Image(), "scene": Value("string")})).save_to_disk(
        tmp_path / "set"
    )
    arguments = ["--data", tmp_path / "set", "--out", tmp_path / "codes", "--assets", library]
    arguments += ["--image-tokenizer", tmp_path / "processor", "--shape-tokenizer", tmp_path / "processor"]
    with program("tokenizers/encode.py") as encode:
        encode.main([str(argument) for argument in arguments])
    scene = json.loads(load_from_disk(str(tmp_path / "codes"))[0]["scene"])
    assert len(scene["objects"][0]["shape_codes"]) == 8

    overrides = [f"output_dir={tmp_path / 'run'}", f"processor={tmp_path / 'processor'}"]
    overrides += [f"data.folders=[{tmp_path / 'codes'}]", "train.max_steps=10"]
    cfg = OmegaConf.merge(OmegaConf.load(TINY), OmegaConf.from_dotlist(overrides))
    recipe = FinetuneRecipe(cfg)
    recipe.setup(cfg)
    recipe.train()
    recipe.cleanup()

    model = Kyvo.from_pretrained(tmp_path / "run" / (tmp_path / "run" / "latest").read_text().strip() / "model")
    truth = coded(drawn[0], tokenizer)
    assert model.render([truth])[0].shape == (16, 24, 3)
    found = model.recognize([np.zeros((16, 24, 3), np.uint8)])[0]
    assert all(len(item.shape_codes) == 8 for item in found.objects)
    export_scene(truth, tmp_path / "truth.glb", meshes=shape_meshes(truth, model.processor.shape))
    assert len(trimesh.load(tmp_path / "truth.glb").geometry) >= 1


def write_library(folder: Path) -> None:
    """The procedural library as a folder of meshes, as users have them."""
    folder.mkdir()
    lines = ["assets:"]
    for name, asset in LIBRARY.assets.items():
        faces = np.arange(3 * len(asset.triangles)).reshape(-1, 3)
        mesh = trimesh.Trimesh(asset.triangles.reshape(-1, 3), faces, process=False)
        mesh.export(folder / f"{name}.ply")
        lines.append(f"  - {{file: {name}.ply, category: {asset.category}, name: {name}, up_axis: '+z'}}")
    (folder / "assets.yaml").write_text("\n".join(lines) + "\n")
