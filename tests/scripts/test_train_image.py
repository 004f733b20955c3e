import json
import re
from pathlib import Path

import loading
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from kyvo.data.dataset import write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.vqgan import VQGANConfig, image_mini, image_paper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def program():
    with loading.program("tokenizers/train_image.py") as module:
        yield module


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Coloured discs on grey, 24x16 px."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :24]
    for i in range(12):
        picture = np.full((16, 24, 3), 120, np.uint8)
        picture[(x - rng.integers(4, 20)) ** 2 + (y - rng.integers(4, 12)) ** 2 < 16] = rng.integers(0, 256, 3)
        Image.fromarray(picture).save(folder / f"{i:02}.png")
    return folder


def write_config(path: Path, **train) -> Path:
    model = {
        "_component_": "kyvo.tokenizers.vqgan.VQGANConfig",
        "width": 24,
        "height": 16,
        "ch": 32,
        "ch_mult": [1, 1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "z_channels": 8,
        "embed_dim": 8,
        "n_embed": 32,
    }
    train = {"steps": 3, "batch_size": 4, "held_out": 4, "report_every": 1, "patience": 2} | train
    path.write_text(yaml.safe_dump({"model": model, "train": train}))
    return path


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("augment", [0.0, 0.5])
def test_a_resumed_run_has_the_losses_and_weights_of_an_uninterrupted_one(
    program, pictures, tmp_path, monkeypatch, augment
):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    config = write_config(tmp_path / "a.yaml", augment=augment)
    arguments = ["--config", str(config), "--data", str(pictures)]
    program.main([*arguments, "--out", str(whole)])

    # The same schedule, stopped after two steps as a killed run would be, with its state written.
    with monkeypatch.context() as killed:
        killed.setattr(program.Trainer, "progress", property(lambda self: 1.0 if self.step == 2 else self.step / 3))
        program.main([*arguments, "--out", str(halves)])
    program.main([*arguments, "--out", str(halves), "--resume"])

    assert losses(halves) == losses(whole) and len(losses(whole)) == 3
    one, other = (ImageTokenizer.from_pretrained(out) for out in (whole, halves))
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_other_cameras_pictures_go_in_and_settings_can_be_given_in_the_place_of_the_configs(
    program, pictures, tmp_path
):
    config = write_config(tmp_path / "a.yaml")
    arguments = ["--config", str(config), "--data", str(pictures), "--out"]
    plain, seen = (
        losses(program.main([*arguments, str(tmp_path / name), f"train.augment={share}", "train.steps=2"]))
        for name, share in (("plain", 0), ("seen", 1))
    )
    assert len(plain) == len(seen) == 2 and plain[0] != seen[0]
    with pytest.raises(ConfigError, match=r"train\.augmant is not a setting; did you mean train\.augment"):
        program.main([*arguments, str(tmp_path / "none"), "train.augmant=1"])


@pytest.mark.slow
def test_training_makes_held_out_pictures_better(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml", steps=30, learning_rate=3e-3, report_every=30)
    out = program.main(["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "out")])
    line = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert line["psnr"] > 15 and line["codes_used_percent"] > 10 and line["perplexity"] > 1
    assert ImageTokenizer.from_pretrained(out).config.num_codes == 24


def test_evening_the_latents_scales_leaves_the_autoencoder_as_it_was(program, pictures):
    config = VQGANConfig(
        width=24, height=16, ch=32, ch_mult=(1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=8,
        embed_dim=6, n_embed=16,
    )  # fmt: skip
    loaded = program.load_pictures(pictures, width=24, height=16, limit=None)
    trainer = program.Trainer(config, program.TrainArgs(steps=1, held_out=4), loaded, objects=None, minutes=None)
    pixels = program.to_pixels(loaded)
    with torch.no_grad():
        before = trainer.model.latents(pixels)
        flat = before.permute(0, 2, 3, 1).flatten(0, 2)
        matrix = trainer.even_scales(flat)
        after = trainer.model.latents(pixels)
        torch.testing.assert_close(after.permute(0, 2, 3, 1).flatten(0, 2), flat @ matrix, atol=1e-4, rtol=1e-3)
        again = trainer.model.post_quant_conv(after)
    assert program.effective_dimensions(after) > program.effective_dimensions(before)
    other = program.Trainer(
        config, program.TrainArgs(steps=1, held_out=4), loaded, objects=None, minutes=None
    )  # the same seed
    with torch.no_grad():
        torch.testing.assert_close(again, other.model.post_quant_conv(before), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("continuous", [0.0, 0.5])
def test_training_can_start_from_another_tokenizer(program, pictures, tmp_path, continuous):
    config = write_config(tmp_path / "a.yaml", continuous=continuous)
    arguments = ["--config", str(config), "--data", str(pictures)]
    first = program.main([*arguments, "--out", str(tmp_path / "first")])
    second = program.main([*arguments, "--out", str(tmp_path / "second"), "--init", str(first)])
    assert losses(second)[0] < losses(first)[0]


def test_a_decoder_alone_is_trained_and_codes_stay_what_they_are(program, pictures, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = ["--data", str(pictures), "--config"]
    program.main([*arguments, str(write_config(tmp_path / "a.yaml")), "--out", str(first)])
    config = str(write_config(tmp_path / "b.yaml", decoder_only=True, steps=6))
    program.main([*arguments, config, "--init", str(first), "--out", str(second)])
    before, after = (ImageTokenizer.from_pretrained(out).model.state_dict() for out in (first, second))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}
    with pytest.raises(ConfigError, match="name that with --init"):
        program.main([*arguments, config, "--out", str(tmp_path / "third")])
    with pytest.raises(ConfigError, match=r"set train\.continuous and train\.object_weight to 0"):
        program.main(
            [*arguments, str(write_config(tmp_path / "c.yaml", decoder_only=True, continuous=0.5)), "--out", "x"]
        )


def write_adversarial(path: Path, **train) -> Path:
    """Pictures just large enough for a discriminator."""
    config = write_config(path, **({"perceptual_weight": 1.0, "discriminator_weight": 0.5} | train))
    section = yaml.safe_load(config.read_text())
    section["model"] |= {"width": 32, "height": 24}
    section["train"] |= {"discriminator_start": 1, "discriminator_channels": 4}
    path.write_text(yaml.safe_dump(section))
    return path


@pytest.mark.slow
def test_the_adversary_begins_at_its_step_and_comes_back_when_resumed(program, pictures, tmp_path, monkeypatch, capsys):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    config = write_adversarial(tmp_path / "a.yaml", steps=4)
    arguments = ["--config", str(config), "--data", str(pictures)]
    program.main([*arguments, "--out", str(whole)])
    assert "perceptual loss: structural loss" in capsys.readouterr().err
    with monkeypatch.context() as killed:
        killed.setattr(program.Trainer, "progress", property(lambda self: 1.0 if self.step == 3 else self.step / 4))
        program.main([*arguments, "--out", str(halves)])
    program.main([*arguments, "--out", str(halves), "--resume"])

    lines = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert ["discriminator" in line for line in lines] == [False, True, True, True]
    assert losses(halves) == losses(whole)
    one, other = (torch.load(out / "training.pt", weights_only=True)["adversary"] for out in (whole, halves))
    for name, tensor in one["discriminator"].items():
        assert torch.equal(tensor, other["discriminator"][name]), name
    assert ImageTokenizer.from_pretrained(whole).config.width == 32  # nothing of the adversary is left in it

    without = write_adversarial(tmp_path / "b.yaml", discriminator_weight=0.0)
    with pytest.raises(CheckpointError, match=r"was trained with train\.discriminator_weight"):
        program.main(["--config", str(without), "--data", str(pictures), "--out", str(whole), "--resume"])


def test_lpips_without_a_weight_and_a_gumbel_network_are_refused(program, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.lpips names weights and train\.perceptual_weight is 0"):
        program.TrainArgs(steps=1, lpips="vgg.pth")
    args = program.TrainArgs(steps=1, lpips="vgg.pth", perceptual_weight=1.0)
    assert args.lpips_files == [Path("vgg.pth")]
    model = yaml.safe_load(write_config(tmp_path / "a.yaml").read_text())["model"]
    with pytest.raises(ConfigError, match=r'model\.quantizer is "gumbel", which is only converted'):
        program.build_model_config(model | {"quantizer": "gumbel"})


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Ray-traced pictures with their scenes, 24x16 px."""
    folder = tmp_path_factory.mktemp("scenes")
    write_set(folder / "set", ClevrSet(count=12, seed=0, width=24, height=16, samples=1))
    return folder / "set"


@pytest.mark.slow
def test_a_tokenizer_learns_to_tell_of_objects_and_resumes(program, scenes, tmp_path):
    config = write_config(tmp_path / "a.yaml", object_weight=0.3, continuous=0.5)
    arguments = ["--config", str(config), "--data", str(scenes)]
    whole = program.main([*arguments, "--out", str(tmp_path / "whole")])
    line = json.loads((whole / "log.jsonl").read_text().splitlines()[-1])
    assert {"object_f1", "size", "color", "material", "shape", "offset_cells"} <= line.keys()

    other = program.main([*arguments, "--out", str(tmp_path / "plain"), "--init", str(whole)])
    assert (
        ImageTokenizer.from_pretrained(other).model.state_dict().keys()
        == program.VQGAN(program.build_model_config(yaml.safe_load(config.read_text())["model"])).state_dict().keys()
    )  # nothing of the reading is left in it
    without = write_config(tmp_path / "b.yaml")
    with pytest.raises(CheckpointError, match=r"was trained with train\.object_weight"):
        program.main(["--config", str(without), "--data", str(scenes), "--out", str(whole), "--resume"])


@pytest.mark.slow
def test_the_reading_is_fitted_before_it_moves_the_codes_of_another_tokenizer(program, scenes, tmp_path):
    settings = {"steps": 1, "object_weight": 1.0}
    first = program.main(
        ["--config", str(write_config(tmp_path / "a.yaml", **settings)), "--data", str(scenes), "--out", str(tmp_path)]
    )
    config = VQGANConfig(**json.loads((first / "image_tokenizer.json").read_text())["config"])
    args = program.TrainArgs(held_out=4, batch_size=4, **settings)
    pictures = program.load_pictures(scenes, width=24, height=16, limit=None)
    objects = program.load_objects(scenes, config, limit=None)
    trainer = program.Trainer(config, args, pictures, objects=objects, minutes=None)
    codes = trainer.model.encode(program.to_pixels(trainer.pictures)).values
    before = trainer.head.loss(codes, trainer.maps).item()
    trainer.start_from(ImageTokenizer.from_pretrained(first).model)
    codes = trainer.model.encode(program.to_pixels(trainer.pictures)).values
    assert trainer.head.loss(codes, trainer.maps).item() < before


def test_pictures_without_scenes_cannot_teach_objects(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml", object_weight=0.3)
    with pytest.raises(
        ConfigError, match=r"train\.object_weight: objects are read from scenes, and .* is no Arrow set"
    ):
        program.main(["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "out")])


def test_minutes_bound_the_training_in_place_of_steps(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml", steps=10**6)
    out = program.main(
        ["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "out"), "--minutes", "0.01"]
    )
    assert 1 <= len(losses(out)) < 100


def test_a_misspelt_setting_is_refused_with_the_right_name(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml", batchsize=3)
    with pytest.raises(ConfigError, match=r"train\.batchsize is not .* did you mean train\.batch_size"):
        program.main(["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "out")])


def test_a_folder_without_pictures_is_refused(program, tmp_path):
    config = write_config(tmp_path / "a.yaml")
    with pytest.raises(ImageError, match="has no pictures; expected an Arrow set"):
        program.main(["--config", str(config), "--data", str(tmp_path), "--out", str(tmp_path / "out")])


def test_resuming_what_was_never_started_is_refused(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml")
    arguments = ["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "out"), "--resume"]
    with pytest.raises(CheckpointError, match=r"no .*training.pt to resume from; start without --resume"):
        program.main(arguments)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("image_mini", image_mini()), ("image_paper", image_paper())],
)
def test_every_shipped_config_builds(program, name, expected):
    config = yaml.safe_load((ROOT / "configs" / "tokenizers" / f"{name}.yaml").read_text())
    assert program.build_model_config(config["model"]) == expected
    assert program.TrainArgs.from_config(config["train"]).steps > 0


def test_a_component_outside_the_vqgan_module_is_not_called(program):
    with pytest.raises(ConfigError, match=re.escape("model._component_ is os.system")):
        program.build_model_config({"_component_": "os.system", "command": "true"})
    assert program.build_model_config({"_component_": "kyvo.tokenizers.vqgan.image_mini"}) == image_mini()
    assert isinstance(image_mini(), VQGANConfig)


def test_a_decoder_that_draws_larger_pictures_begins_with_those_of_the_tokenizer_before(program, pictures, tmp_path):
    config = write_config(tmp_path / "a.yaml")
    first = program.main(["--config", str(config), "--data", str(pictures), "--out", str(tmp_path / "first")])
    before = ImageTokenizer.from_pretrained(first)

    larger = VQGANConfig(**json.loads((first / "image_tokenizer.json").read_text())["config"] | {"upscale": 2})
    loaded, targets = (
        program.load_pictures(pictures, width=size * 24, height=size * 16, limit=None) for size in (1, 2)
    )
    args = program.TrainArgs(steps=1, held_out=4, decoder_only=True)
    trainer = program.Trainer(larger, args, loaded, targets=targets, objects=None, minutes=None)
    trainer.start_from(before.model)
    codes = before.encode(loaded.numpy())
    drawn = ImageTokenizer(trainer.model).decode(codes)
    assert drawn.shape[1:3] == (32, 48)
    assert np.array_equal(drawn, before.decode(codes).repeat(2, axis=1).repeat(2, axis=2))

    settings = ["model.upscale=2", "train.decoder_only=true", "train.steps=8", "train.report_every=4"]
    words = ["--config", str(config), "--data", str(pictures), "--init", str(first), "--out", str(tmp_path / "second")]
    after = ImageTokenizer.from_pretrained(program.main([*words, *settings]))
    assert after.config == larger and after.codes_sha256 == before.codes_sha256
    assert np.array_equal(after.encode(loaded.numpy()), codes)
    errors = [
        np.square(one.decode(codes[:4]).astype(float) - targets[:4].numpy()).mean()
        for one in (ImageTokenizer(trainer.model), after)
    ]
    assert errors[1] < errors[0]
