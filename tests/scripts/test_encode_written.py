"""What a model writes for scenes: the vectors that its renderings are decoded from, and the pictures meant by them."""

import json
from dataclasses import replace
from pathlib import Path

import loading
import numpy as np
import pytest
import torch
import yaml
from datasets import load_from_disk
from PIL import Image

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet
from kyvo.data.picture_sets import load_turns, load_written
from kyvo.errors import ConfigError
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.image import ImageTokenizer, from_pixels
from kyvo.tokenizers.tasks import Segments
from kyvo.tokenizers.turn_maps import turn_maps
from kyvo.tokenizers.vqgan import image_mini

COUNT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny model, a set, and what the model writes for it."""
    folder = tmp_path_factory.mktemp("written")
    kyvo = tiny_kyvo()
    kyvo.model.save_pretrained(folder / "model")
    kyvo.processor.save(folder / "model")
    write_set(folder / "set", ClevrSet(count=COUNT + 1, seed=0, width=24, height=16, samples=1))
    with loading.program("tokenizers/encode_written.py") as program:
        words = ["--model", folder / "model", "--data", folder / "set", "--out", folder / "pairs", "--batch-size", 4]
        program.main([*map(str, words), "--limit", str(COUNT)])
    return folder


def test_vectors_are_those_that_renderings_are_decoded_from(folder):
    kyvo = Kyvo.from_pretrained(folder / "model", device="cpu")
    image = kyvo.processor.image
    vectors, pictures = load_written(folder / "pairs", image.config)
    assert vectors.shape == (COUNT, 4, 2, 3) and pictures.shape == (COUNT, 16, 24, 3)
    scenes = [scene_from_json(json.loads(text)) for text in open_set(folder / "set").select(range(COUNT))["scene"]]
    decoded = from_pixels(image.model.decode(vectors.float()))
    given = [Segments(scene=replace(scene, camera=None)) for scene in scenes]
    for one, other in zip(decoded, kyvo.complete("rendering", given), strict=True):
        assert np.abs(one.astype(int) - other.image).max() <= 3  # half precision
    for scene, picture in zip(scenes, pictures.numpy(), strict=True):
        snapped = kyvo.processor.schema.snap(replace(scene, camera=None), clamp=True)
        assert len(snapped) == len(scene)
        (near,) = render_scenes([replace(scene, camera=None)], width=24, height=16)
        (own,) = render_scenes([scene], width=24, height=16)
        error, moved = (np.square(picture.astype(float) - of).mean() for of in (near, own))
        assert error < moved  # the unmoved camera's


def test_cubes_are_traced_without_a_turn_or_as_they_are_turned(folder):
    schema = Kyvo.from_pretrained(folder / "model", device="cpu").processor.schema
    cube = SceneObject(
        shape="cube",
        color="red",
        material="rubber",
        size="large",
        location=(0.02, 1.0, 0.7),
        extra={"rotation": 0.5},
    )
    scene = Scene(objects=(cube,), extra={"lamps": []})
    with loading.program("tokenizers/encode_written.py") as program:
        found = program.quantized(scene, schema, turns=False)
        turned = program.quantized(scene, schema, turns=True)
    assert found == replace(scene, objects=(replace(cube, location=(0.0, 1.0, 0.7), extra={}),))
    assert turned == replace(scene, objects=(replace(cube, location=(0.0, 1.0, 0.7)),))


def test_pictures_may_be_larger_than_those_that_the_model_reads(folder, tmp_path):
    with loading.program("tokenizers/encode_written.py") as program:
        words = ["--model", folder / "model", "--data", folder / "set", "--out", tmp_path / "pairs", "--upscale", 2]
        program.main([*map(str, words), "--limit", "2"])
    config = Kyvo.from_pretrained(folder / "model", device="cpu").processor.image.config
    with pytest.raises(ConfigError, match="has pictures of 48x32 px and the tokenizer draws 24x16"):
        load_written(tmp_path / "pairs", config)
    assert load_written(tmp_path / "pairs", replace(config, upscale=2))[1].shape == (2, 32, 48, 3)


def test_a_decoder_is_trained_on_them(folder, tmp_path):
    about = json.loads((folder / "model" / "image_tokenizer.json").read_text())["config"]
    train = {"steps": 6, "batch_size": 4, "held_out": 2, "report_every": 2, "decoder_only": True, "written": 0.5}
    config = tmp_path / "c.yaml"
    config.write_text(
        yaml.safe_dump({"model": {"_component_": "kyvo.tokenizers.vqgan.VQGANConfig", **about}, "train": train})
    )
    words = ["--config", config, "--data", folder / "set", "--init", folder / "model"]
    with loading.program("tokenizers/train_image.py") as program:
        out = program.main([*map(str, words), "--written", str(folder / "pairs"), "--out", str(tmp_path / "out")])
        with pytest.raises(ConfigError, match="give both, or neither"):
            program.main([*map(str, words), "--out", str(tmp_path / "other")])
        config.write_text(config.read_text().replace("decoder_only: true", "decoder_only: false"))
        with pytest.raises(ConfigError, match=r"train\.written is for train\.decoder_only"):
            program.main([*map(str, words), "--out", str(tmp_path / "other")])
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert log[-1]["written_psnr"] > log[0]["written_psnr"]
    before, after = (ImageTokenizer.from_pretrained(where).model.state_dict() for where in (folder / "model", out))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}


def test_a_decoder_is_told_how_cubes_are_turned(folder, tmp_path):
    about = json.loads((folder / "model" / "image_tokenizer.json").read_text())["config"]
    train = {"steps": 4, "batch_size": 4, "held_out": 2, "report_every": 2, "decoder_only": True, "written": 0.5}
    model = {"_component_": "kyvo.tokenizers.vqgan.VQGANConfig", **about, "turns": True}
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump({"model": model, "train": train}))
    with loading.program("tokenizers/encode_written.py") as program:
        words = ["--model", folder / "model", "--data", folder / "set", "--out", tmp_path / "pairs", "--turns"]
        program.main([*map(str, words), "--limit", str(COUNT)])
    words = ["--config", config, "--init", folder / "model", "--written", tmp_path / "pairs"]
    with loading.program("tokenizers/train_image.py") as program:
        out = program.main([*map(str, words), "--data", str(folder / "set"), "--out", str(tmp_path / "out")])
        (tmp_path / "pictures").mkdir()
        for number in range(4):
            Image.new("RGB", (24, 16)).save(tmp_path / "pictures" / f"{number}.png")
        with pytest.raises(ConfigError, match=r"turns are read from scenes, and .*pictures has none"):
            program.main([*map(str, words), "--data", str(tmp_path / "pictures"), "--out", str(tmp_path / "other")])
    decoder = ImageTokenizer.from_pretrained(out).model.decoder
    assert all(convolution.weight.any() for convolution in decoder.turns)
    scenes = [scene_from_json(json.loads(text)) for text in load_from_disk(str(tmp_path / "pairs"))["scene"]]
    maps = load_turns(tmp_path / "pairs", ImageTokenizer.from_pretrained(out).config)
    assert np.array_equal(maps.numpy(), turn_maps(scenes, width=24, height=16)) and maps.any()


def test_other_sets_are_refused(folder):
    config = Kyvo.from_pretrained(folder / "model", device="cpu").processor.image.config
    with pytest.raises(ConfigError, match="does not hold what a model wrote"):
        load_written(folder / "model", config)
    with pytest.raises(ConfigError, match="24 numbers a picture, the tokenizer 4800"):
        load_written(folder / "pairs", image_mini())
    assert set(load_from_disk(folder / "pairs").column_names) == {"vectors", "image", "scene"}
