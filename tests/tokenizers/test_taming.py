"""Published checkpoints of taming-transformers, in small: their files' keys, names and types, and what is refused."""

import re
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from kyvo.errors import CheckpointError, ConfigError
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.taming import read_project, read_tensors
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig, image_paper

SMALL = VQGANConfig(
    width=24, height=24, ch=32, ch_mult=(1, 1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=8, embed_dim=8,
    n_embed=64,
)  # fmt: skip
GUMBEL = replace(SMALL, quantizer="gumbel")
# The three published tokenizers, f16 and f8.
PUBLISHED = {
    "f16_1024": image_paper(),
    "f16_16384": replace(image_paper(), n_embed=16384),
    "gumbel_f8": replace(image_paper(), ch_mult=(1, 1, 2, 4), attn_resolutions=(32,), n_embed=8192, quantizer="gumbel"),
}


def project_of(config: VQGANConfig) -> dict:
    """A project.yaml with all the keys that the published ones have."""
    names = ("ch", "ch_mult", "num_res_blocks", "attn_resolutions", "in_channels", "out_ch", "z_channels")
    values = {name: getattr(config, name) for name in names}
    network = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    network |= {"double_z": False, "resolution": config.width, "dropout": 0.0}
    loss = {"disc_conditional": False, "disc_in_channels": 3, "disc_start": 0, "disc_weight": 0.75}
    loss |= {"disc_num_layers": 2, "codebook_weight": 1.0}
    params = {
        "embed_dim": config.embed_dim,
        "n_embed": config.n_embed,
        "monitor": "val/rec_loss",
        "ddconfig": network,
        "lossconfig": {"target": "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator", "params": loss},
    }
    kind = "VQModel"
    if config.quantizer == "gumbel":
        kind = "GumbelVQ"
        cooling = {"warm_up_steps": 0, "max_decay_steps": 1000001, "lr_start": 0.9, "lr_max": 0.9, "lr_min": 1e-6}
        params["kl_weight"] = 1e-8
        params["temperature_scheduler_config"] = {
            "target": "taming.lr_scheduler.LambdaWarmUpCosineScheduler",
            "params": cooling,
        }
    return {"model": {"base_learning_rate": 4.5e-6, "target": f"taming.models.vqgan.{kind}", "params": params}}


def write_project(tmp_path, config: VQGANConfig, edit=lambda params: None, **model):
    project = project_of(config)
    project["model"] |= model
    edit(project["model"]["params"])
    path = tmp_path / "project.yaml"
    path.write_text(yaml.safe_dump(project))
    return path


def write_checkpoint(tmp_path, state: dict, monkeypatch):
    """A last.ckpt as Lightning wrote it: a class of its own is a dictionary key, and the losses' networks are there."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    module.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": module.__name__})
    with monkeypatch.context() as saving:
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks"):
            saving.setitem(sys.modules, name, types.ModuleType(name))
        saving.setitem(sys.modules, module.__name__, module)
        losses = {
            "loss.perceptual_loss.lin0.model.1.weight": torch.zeros(1, 64, 1, 1),
            "loss.discriminator.main.3.num_batches_tracked": torch.tensor(7),
        }
        best = {"monitor": "val/rec_loss", "best_model_score": torch.tensor(0.1), "best_model_path": "x.ckpt"}
        torch.save(
            {
                "epoch": 3, "global_step": 100, "pytorch-lightning_version": "1.0.8", "lr_schedulers": [],
                "optimizer_states": [{"state": {}, "param_groups": []}],
                "callbacks": {module.ModelCheckpoint: best}, "state_dict": {**state, **losses},
            },
            tmp_path / "last.ckpt",
        )  # fmt: skip
    return tmp_path / "last.ckpt"


def random_model(config: VQGANConfig) -> VQGAN:
    torch.manual_seed(0)
    model = VQGAN(config)
    torch.nn.init.normal_(model.quantize.embedding.weight)
    if config.quantizer == "gumbel":
        torch.nn.init.normal_(model.quantize.proj.weight)
    return model


def noise(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_yamls_give_the_published_shapes(tmp_path, name):
    config = read_project(write_project(tmp_path, PUBLISHED[name]))
    assert config == PUBLISHED[name]
    side = 32 if name == "gumbel_f8" else 16
    assert (config.rows, config.columns) == (side, side)


def test_the_gumbel_models_tensors_have_the_published_names_and_shapes():
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in VQGAN(PUBLISHED["gumbel_f8"]).state_dict().items()}
    assert {name: shape for name, shape in shapes.items() if name.startswith("quantize.")} == {
        "quantize.proj.weight": (8192, 256, 1, 1),
        "quantize.proj.bias": (8192,),
        "quantize.embed.weight": (8192, 256),
    }
    assert shapes["encoder.down.3.attn.1.q.weight"] == (512, 512, 1, 1)


@pytest.mark.parametrize("config", [SMALL, GUMBEL], ids=["nearest", "gumbel"])
def test_project_yaml_and_last_ckpt_load_without_lightning_and_come_back_from_a_folder(tmp_path, monkeypatch, config):
    model = random_model(config)
    checkpoint = write_checkpoint(tmp_path, model.state_dict(), monkeypatch)
    loaded = ImageTokenizer.from_taming(write_project(tmp_path, config), checkpoint)
    expected = ImageTokenizer(model)
    codes = loaded.encode(noise())
    assert np.array_equal(codes, expected.encode(noise()))
    assert len(np.unique(codes)) > 3  # else equal codes would say nothing
    loaded.save(tmp_path / "folder")
    again = ImageTokenizer.from_pretrained(tmp_path / "folder")
    assert again.config == config
    assert np.array_equal(again.encode(noise()), codes)
    assert np.array_equal(again.decode(codes), expected.decode(codes))


@torch.no_grad()
def test_a_gumbel_code_is_the_highest_score_and_the_same_in_every_call():
    model = random_model(GUMBEL).eval()
    pixels = torch.rand(2, 3, 24, 24) * 2 - 1
    scores = torch.einsum("bdhw,nd->bhwn", model.latents(pixels), model.quantize.proj.weight[:, :, 0, 0])
    highest = (scores + model.quantize.proj.bias).argmax(-1)
    assert torch.equal(model.encode_codes(pixels), highest.flatten(1))
    assert torch.equal(model.encode_codes(pixels), model.encode_codes(pixels))


@pytest.mark.taming
@torch.no_grad()
def test_the_gumbel_quantizer_equals_tamings_without_its_noise():
    quantize = pytest.importorskip("taming.modules.vqvae.quantize")
    theirs = quantize.GumbelQuantize(8, 8, 64).eval()
    ours = random_model(GUMBEL).quantize
    ours.load_state_dict(theirs.state_dict())
    latents = torch.randn(2, 8, 6, 6)
    *_, scores = theirs(latents, return_logits=True)
    indices = ours.choose(latents)
    assert torch.equal(indices, scores.argmax(1))
    expected = theirs.get_codebook_entry(indices.flatten(), (2, 6, 6, 8))
    torch.testing.assert_close(ours.lookup(indices), expected)


def test_a_plain_state_dict_is_read_too(tmp_path):
    torch.save(random_model(SMALL).state_dict(), tmp_path / "plain.pt")
    assert read_tensors(tmp_path / "plain.pt").keys() == VQGAN(SMALL).state_dict().keys()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("quantize.used", "renumbered for one transformer"),
        ("quantize.embedding.cluster_size", "a moving average"),
        ("model_ema.decay", "moving averages of its weights"),
        ("colorize", "segmentations"),
        ("first_stage_model.quant_conv.bias", "transformer of the second stage"),
    ],
)
def test_what_another_kind_of_model_has_is_refused_with_its_reason(tmp_path, monkeypatch, name, reason):
    state = random_model(SMALL).state_dict() | {name: torch.zeros(4)}
    checkpoint = write_checkpoint(tmp_path, state, monkeypatch)
    with pytest.raises(CheckpointError, match=f"last.ckpt has the tensor {re.escape(name)}: .*{reason}"):
        ImageTokenizer.from_taming(write_project(tmp_path, SMALL), checkpoint)


def test_the_yaml_of_one_quantizer_does_not_fit_the_checkpoint_of_the_other(tmp_path, monkeypatch):
    checkpoint = write_checkpoint(tmp_path, random_model(GUMBEL).state_dict(), monkeypatch)
    with pytest.raises(CheckpointError, match=r"missing \['quantize.embedding.weight'\].*unknown \['quantize.embed"):
        ImageTokenizer.from_taming(write_project(tmp_path, SMALL), checkpoint)


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path):
    torch.save({"state_dict": {}, "surprise": print}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="not read for safety"):
        ImageTokenizer.from_taming(write_project(tmp_path, SMALL), tmp_path / "last.ckpt")


def test_files_that_are_missing_damaged_or_something_else_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yaml does not exist; give the YAML"):
        read_project(tmp_path / "none.yaml")
    with pytest.raises(CheckpointError, match=r"none.ckpt does not exist"):
        read_tensors(tmp_path / "none.ckpt")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"empty.ckpt is damaged or no checkpoint"):
        read_tensors(tmp_path / "empty.ckpt")
    torch.save(torch.zeros(2), tmp_path / "one.ckpt")
    with pytest.raises(CheckpointError, match=r"holds a Tensor; a checkpoint has tensors by name"):
        read_tensors(tmp_path / "one.ckpt")


def test_yamls_of_other_models_are_refused(tmp_path):
    def refused(match, edit=lambda params: None, **model):
        with pytest.raises(ConfigError, match=match):
            read_project(write_project(tmp_path, SMALL, edit, **model))

    refused(
        r"Net2NetTransformer'; read are VQModel and GumbelVQ",
        target="taming.models.cond_transformer.Net2NetTransformer",
    )
    refused("remap renumbers the codes", lambda params: params.update(remap="used.npy"))
    refused("no project.yaml of a VQGAN: it has no 'n_embed'", lambda params: params.pop("n_embed"))
    refused("double_z is for models without a codebook", lambda params: params["ddconfig"].update(double_z=True))
    refused("183 channels in and 3 out", lambda params: params["ddconfig"].update(in_channels=183))
    with pytest.raises(ConfigError, match="quantizer is 'ema'; known are nearest, gumbel"):
        replace(SMALL, quantizer="ema")
