"""From a text or a picture to an object, by random weights: what comes is nonsense, how it comes is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_conditions import DINO_WIDTH, write_tiny_dino
from tiny_generators import COND, SIDE, tiny_generator, write_tiny_pipeline

from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.generation.flow_sampler import Cancelled
from kyvo.models.flow.conditions import ConditionError
from kyvo.pipelines import object_folders
from kyvo.pipelines.objects import ObjectError, ObjectGenerator, Samples
from kyvo.shapes.surfaces import colored_mesh, write_shape


@pytest.fixture(scope="module")
def generator() -> ObjectGenerator:
    return tiny_generator()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rgb = np.full((60, 80, 3), 230, np.uint8)
    rgb[20:40, 20:60] = (200, 30, 30)
    path = tmp_path_factory.mktemp("pictures") / "box.png"
    Image.fromarray(rgb).save(path)
    return path


def same(one, other, **tolerance) -> None:
    assert torch.equal(one.slat.coords, other.slat.coords)
    torch.testing.assert_close(one.slat.feats, other.slat.feats, **tolerance)


def test_a_text_becomes_an_object_that_can_be_written(generator, tmp_path):
    made = generator(text="a red chair", seed=1)
    assert made.slat.resolution == SIDE
    assert made.slat.feats.shape == (len(made.slat.coords), 12)
    assert not made.slat.normalized
    assert 0 < len(made.slat.coords) < SIDE**3 / 2
    write_shape(colored_mesh(made.mesh), tmp_path / "chair.glb")
    assert (tmp_path / "chair.glb").stat().st_size > 1000
    assert len(made.gaussians) > 0


def test_the_seed_the_text_and_the_picture_set_the_object(generator, picture):
    first = generator(text="a red chair", seed=1)
    same(first, generator(text=" A red chair. ", seed=1), rtol=0, atol=0)
    others = [
        generator(text="a red chair", seed=2),
        generator(text="a blue table", seed=1),
        generator(text="a red chair", negative_text="blue", seed=1),
        generator(image=picture, seed=1),
    ]
    for other in others:
        alike = torch.equal(first.slat.coords, other.slat.coords)
        assert not (alike and torch.equal(first.slat.feats, other.slat.feats))


@pytest.mark.slow
def test_a_sample_is_the_same_alone_and_among_others_and_on_any_number_of_threads(generator):
    threads = torch.get_num_threads()
    several = generator.generate(text="a red chair", seed=5, count=3)
    assert [made.sample for made in several] == [0, 1, 2]
    assert not torch.equal(several[0].slat.coords, several[1].slat.coords)
    same(several[0], generator(text="a red chair", seed=5), rtol=1e-4, atol=1e-4)
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            for one, other in zip(several, generator.generate(text="a red chair", seed=5, count=3), strict=True):
                same(one, other, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(threads)


def test_progress_is_told_for_both_stages_and_cancelling_ends_either(generator):
    seen = []
    generator(text="a red chair", progress=seen.append)
    assert [(one.stage, one.step, one.num_steps) for one in seen] == [
        *(("structure", step, 3) for step in (1, 2, 3)),
        *(("details", step, 2) for step in (1, 2)),
    ]
    for limit, stage in ((1, "structure"), (4, "details")):
        told: list = []
        with pytest.raises(Cancelled, match=f"{stage} was cancelled after 1 of"):
            generator(text="a red chair", progress=told.append, cancelled=lambda told=told, n=limit: len(told) >= n)


def test_words_never_seen_are_told_with_the_object(generator):
    made = generator(text="a red zyxw chair")
    assert made.warnings == ("words that the model has never seen: zyxw",)
    with pytest.raises(ConditionError, match="never seen a word"):
        generator(text="zyxw")


@pytest.mark.parametrize("stored", ["surface", pytest.param("trellis", marks=pytest.mark.slow)])
def test_a_generator_comes_back_from_its_folder(tmp_path, picture, stored):
    changes = {"channels": 8, "trellis_decoders": True} if stored == "trellis" else {}
    written = tiny_generator(**changes)
    written.save_pretrained(tmp_path / "made")
    loaded = ObjectGenerator.from_pretrained(tmp_path / "made")
    assert loaded.structure_sampler == written.structure_sampler
    same(loaded(text="a red chair"), written(text="a red chair"))
    made = loaded(image=picture, seed=3)
    same(made, written(image=picture, seed=3))
    if stored == "trellis":
        assert len(made.gaussians) == 32 * len(made.slat.coords)
        assert made.mesh.vertices.shape[1] == 3


def test_encoders_of_the_user_are_taken_where_the_folder_has_none(tmp_path, picture):
    folder = write_tiny_pipeline(tmp_path / "made", encoders={})
    generator = ObjectGenerator.from_pretrained(folder)
    with pytest.raises(ConfigError, match=r"no picture encoder; it takes no condition. .*folder of facebook/dinov2"):
        generator(image=picture)
    dino = write_tiny_dino(tmp_path / "dino")
    with pytest.raises(CheckpointError, match=f"picture encoder gives {DINO_WIDTH} channels .* takes {COND}"):
        ObjectGenerator.from_pretrained(folder, picture_encoder=dino)
    (folder / "dinov2_vitl14_reg").symlink_to(dino)  # beside it under its name
    about = json.loads((folder / "pipeline.json").read_text())
    about["args"]["image_cond_model"] = "dinov2_vitl14_reg"
    (folder / "pipeline.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match=f"picture encoder gives {DINO_WIDTH} channels"):
        ObjectGenerator.from_pretrained(folder)


def test_networks_of_another_repository_are_found_beside_the_folder(tmp_path):
    """TRELLIS's text repositories name the decoders of the one for pictures."""
    image, text = write_tiny_pipeline(tmp_path / "TRELLIS-image-large"), write_tiny_pipeline(tmp_path / "text")
    about = json.loads((text / "pipeline.json").read_text())
    name = "microsoft/TRELLIS-image-large/ckpts/structure_decoder"
    about["args"]["models"]["sparse_structure_decoder"] = name
    (text / "pipeline.json").write_text(json.dumps(about))
    for path in (text / "ckpts").glob("structure_decoder.*"):
        path.unlink()
    assert ObjectGenerator.from_pretrained(text)(text="a chair").slat is not None
    image.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"names {name}, which is not in"):
        ObjectGenerator.from_pretrained(text)


def test_folders_that_do_not_hold_together_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"pipeline.json does not exist; give a folder"):
        ObjectGenerator.from_pretrained(tmp_path)
    folder = write_tiny_pipeline(tmp_path / "made")
    whole = json.loads((folder / "pipeline.json").read_text())

    def written(change) -> Path:
        about = json.loads(json.dumps(whole))
        change(about["args"])
        (folder / "pipeline.json").write_text(json.dumps(about))
        return folder

    def other_version(args):
        args["models"]["slat_flow_model"] = "ckpts/other"

    tiny_generator(channels=8).save_pretrained(tmp_path / "other")
    for suffix in (".json", ".safetensors"):
        (folder / f"ckpts/other{suffix}").write_bytes((tmp_path / f"other/ckpts/slat_flow{suffix}").read_bytes())
    for change, match in (
        (other_version, "slat_normalization has 12 means .* the SLAT flow has 8 channels"),
        (lambda args: args["models"].pop("slat_flow_model"), "names no slat_flow_model among its models"),
        (lambda args: args["slat_sampler"].update(name="Heun"), "The sampler is a Heun"),
        (lambda args: args["slat_sampler"]["params"].update(eta=1), "params have 'eta'"),
    ):
        with pytest.raises(CheckpointError, match=match):
            ObjectGenerator.from_pretrained(written(change))
    (folder / "pipeline.json").write_text("[]")
    with pytest.raises(CheckpointError, match="is no description of a pipeline"):
        ObjectGenerator.from_pretrained(folder)
    structure = tiny_generator().structure_flow
    with pytest.raises(CheckpointError, match="the decoder's grid is 16 and the SLAT flow's"):
        from tiny_generators import FLOW, random

        larger = {**FLOW, "resolution": 32, "in_channels": 12, "out_channels": 12}
        flow = random({"name": "SLatFlowModel", "args": {**larger, "patch_size": 2, "io_block_channels": [8]}})
        tiny_generator(structure_flow=structure, slat_flow=flow)


def test_inputs_that_do_not_do_are_refused(generator, picture, tmp_path):
    for inputs, error, match in (
        ({}, ConfigError, "Give a text or an image, one of the two"),
        ({"text": "a chair", "image": picture}, ConfigError, "one of the two"),
        ({"text": "   "}, ConditionError, "The text is empty"),
        ({"image": picture, "negative_text": "red"}, ConfigError, "negative_text goes with a text"),
        ({"image": tmp_path / "none.png"}, ImageError, "does not exist"),
    ):
        with pytest.raises(error, match=match):
            generator(**inputs)
    with pytest.raises(ConfigError, match="count is 0"):
        generator.generate(text="a chair", count=0)
    empty = tiny_generator()
    empty.structure_decoder.out_layer[2].bias.fill_(-1e4)
    with pytest.raises(ObjectError, match="Sample 0 of seed 0 has no cell"):
        empty(text="a chair")


@pytest.mark.slow
def test_a_sample_that_is_empty_when_cold_is_that_of_temperature_1():
    mini = ObjectGenerator.from_pretrained("mini")
    condition, samples = mini.condition(text="a brown bookcase"), Samples(count=2, seed=1)
    cold, plain = (
        replace(mini, structure_sampler=replace(mini.structure_sampler, temperature=temperature))
        for temperature in (0.05, 1.0)
    )
    assert not any(map(len, cold._structures(condition, samples)))
    for one, other in zip(
        cold.sample_structure(condition, samples), plain.sample_structure(condition, samples), strict=True
    ):
        assert len(one) and torch.equal(one, other)


def test_the_bundled_generator_is_found_by_its_name_and_its_lack_says_what_to_do(tmp_path, monkeypatch):
    assets = tmp_path / "package" / "assets"
    monkeypatch.setattr(object_folders, "files", lambda package: tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()  # a language model's folder, as people have it
    with pytest.raises(CheckpointError, match=r"mini/pipeline.json does not exist"):
        ObjectGenerator.from_pretrained("mini")
    write_tiny_pipeline(assets / "objects_mini")
    assert object_folders.find_folder("mini") == assets / "objects_mini"
    assert ObjectGenerator.from_pretrained("mini")(text="a red chair").slat.resolution == 16
    with pytest.raises(CheckpointError, match=r"bundled are mini. Give a folder that recipes/join_generator.py wrote"):
        object_folders.find_folder("large")
