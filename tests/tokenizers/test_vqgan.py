import re
from dataclasses import replace

import pytest
import torch

from kyvo.errors import CheckpointError, ConfigError, ImageError
from kyvo.tokenizers.quantize import DeadCodeRestart, VectorQuantizer
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig, image_mini, image_paper

SQUARE = VQGANConfig(
    width=32,
    height=32,
    ch=32,
    ch_mult=(1, 2, 2),
    num_res_blocks=2,
    attn_resolutions=(16,),
    z_channels=24,
    embed_dim=8,
    n_embed=40,
)
WIDE = replace(SQUARE, height=16, attn_resolutions=(), num_res_blocks=1)


def taming_parts(config: VQGANConfig) -> dict[str, torch.nn.Module]:
    """taming's own modules; its VQModel itself needs pytorch-lightning, so its five parts are put together here."""
    model = pytest.importorskip("taming.modules.diffusionmodules.model")
    quantize = pytest.importorskip("taming.modules.vqvae.quantize")
    names = ("ch", "ch_mult", "num_res_blocks", "attn_resolutions", "in_channels", "out_ch", "z_channels")
    settings = {name: getattr(config, name) for name in names} | {"resolution": config.width}
    parts = {
        "encoder": model.Encoder(**settings, double_z=False),
        "decoder": model.Decoder(**settings),
        "quantize": quantize.VectorQuantizer2(config.n_embed, config.embed_dim, beta=config.beta, legacy=False),
        "quant_conv": torch.nn.Conv2d(config.z_channels, config.embed_dim, 1),
        "post_quant_conv": torch.nn.Conv2d(config.embed_dim, config.z_channels, 1),
    }
    return torch.nn.ModuleDict(parts).eval()


def randomized(module: torch.nn.Module) -> torch.nn.Module:
    """Norm scales and biases start at 1 and 0, where swapped layers could not be told apart."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.fixture
def pixels():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.taming
@torch.no_grad()
def test_encoder_quantizer_and_decoder_equal_tamings_on_the_same_weights(pixels):
    theirs = randomized(taming_parts(SQUARE))
    ours = VQGAN(SQUARE).eval()
    ours.load_taming(theirs.state_dict())

    latents = theirs["quant_conv"](theirs["encoder"](pixels))
    values, loss, (_, _, indices) = theirs["quantize"](latents)
    picture = theirs["decoder"](theirs["post_quant_conv"](values))

    torch.testing.assert_close(ours.latents(pixels), latents, rtol=1e-4, atol=1e-5)
    found = ours.quantize(latents)
    assert torch.equal(found.indices.flatten(), indices)
    assert len(indices.unique()) > 3  # else equal indices would say nothing
    torch.testing.assert_close(found.values, values)
    torch.testing.assert_close(found.loss, loss)
    torch.testing.assert_close(ours.decode(values), picture, rtol=1e-4, atol=1e-5)


@pytest.mark.taming
@pytest.mark.parametrize("config", [SQUARE, image_paper()], ids=["small", "paper"])
def test_tensor_names_and_shapes_are_exactly_tamings(config):
    with torch.device("meta"):
        theirs, ours = taming_parts(config), VQGAN(config)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}


def test_published_tensor_names_are_kept_without_taming_at_hand():
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in VQGAN(image_paper()).state_dict().items()}
    assert shapes["encoder.conv_in.weight"] == (128, 3, 3, 3)
    assert shapes["encoder.down.0.block.0.norm1.weight"] == (128,)
    assert shapes["encoder.down.4.attn.1.proj_out.weight"] == (512, 512, 1, 1)
    assert shapes["encoder.mid.attn_1.q.weight"] == (512, 512, 1, 1)
    assert shapes["decoder.up.4.upsample.conv.weight"] == (512, 512, 3, 3)
    assert shapes["decoder.up.0.block.2.conv2.weight"] == (128, 128, 3, 3)
    assert shapes["quantize.embedding.weight"] == (1024, 256)
    assert shapes["post_quant_conv.weight"] == (256, 256, 1, 1)


def test_the_presets_have_the_grids_the_model_was_planned_for():
    assert (image_mini().rows, image_mini().columns, image_mini().num_codes) == (10, 15, 150)
    assert (image_paper().rows, image_paper().columns, image_paper().num_codes) == (16, 16, 256)


@torch.no_grad()
def test_codes_are_row_major_and_decode_to_what_the_model_itself_reconstructs():
    model = VQGAN(WIDE).eval()
    model.quantize.embedding.weight.normal_()
    pixels = torch.rand(2, 3, 16, 32) * 2 - 1
    quantized = model.encode(pixels)
    codes = model.encode_codes(pixels)
    assert quantized.indices.shape == (2, 4, 8)
    assert torch.equal(codes, quantized.indices.reshape(2, 32))
    torch.testing.assert_close(model.decode_codes(codes), model.decode(quantized.values))


def test_the_nearest_code_is_that_of_plain_distances():
    quantizer = VectorQuantizer(n_embed=30, embed_dim=4)
    torch.nn.init.normal_(quantizer.embedding.weight)
    vectors = torch.randn(5, 7, 4)
    slow = (vectors[..., None, :] - quantizer.embedding.weight).square().sum(-1).argmin(-1)
    assert torch.equal(quantizer.nearest(vectors), slow)


def test_gradients_pass_straight_through_the_quantizer():
    quantizer = VectorQuantizer(n_embed=8, embed_dim=4, beta=0.0)
    latents = torch.randn(1, 4, 2, 3, requires_grad=True)
    direction = torch.randn(1, 4, 2, 3)
    (quantizer(latents).values * direction).sum().backward()
    torch.testing.assert_close(latents.grad, direction)


def test_the_commitment_loss_is_beta_times_the_codebook_loss_in_value():
    quantizer = VectorQuantizer(n_embed=8, embed_dim=4, beta=0.25)
    latents = torch.randn(1, 4, 2, 3)
    distance = (quantizer.lookup(quantizer(latents).indices) - latents).square().mean()
    torch.testing.assert_close(quantizer(latents).loss, 1.25 * distance)


def test_only_idle_codes_move_and_they_move_to_latents_far_from_every_code():
    quantizer = VectorQuantizer(n_embed=8, embed_dim=4)
    restart = DeadCodeRestart(quantizer, patience=2, generator=torch.Generator().manual_seed(0))
    used = torch.tensor([[[0, 1, 2]]])
    for _ in range(2):
        assert restart.before(torch.randn(2, 4, 3, 3)) == 0
        restart.after(used)
    before = quantizer.embedding.weight.detach().clone()
    latents = torch.zeros(2, 4, 3, 3)
    latents[1, :, 2, 2] = 5.0  # all the others are next to a code
    assert restart.before(latents) == 5
    assert torch.equal(quantizer.embedding.weight[:3], before[:3])
    assert (quantizer.embedding.weight[3:] == 5.0).float().mean() > 0.7


def test_discriminator_weights_of_a_published_checkpoint_are_left_aside():
    source, target = VQGAN(WIDE), VQGAN(WIDE)
    target.load_taming(source.state_dict() | {"loss.discriminator.main.0.weight": torch.zeros(1)})
    assert torch.equal(source.quant_conv.weight, target.quant_conv.weight)


def test_a_state_dict_of_another_network_is_refused_by_name():
    state = VQGAN(WIDE).state_dict()
    del state["quant_conv.bias"]
    with pytest.raises(CheckpointError, match=re.escape("missing ['quant_conv.bias'] (1 in all)")):
        VQGAN(WIDE).load_taming(state)


def test_a_state_dict_of_another_size_is_refused_with_both_sizes():
    state = VQGAN(replace(WIDE, n_embed=50)).state_dict()
    with pytest.raises(CheckpointError, match=r"quantize.embedding.weight is \[50, 8\] .* and \[40, 8\]"):
        VQGAN(WIDE).load_taming(state)


def test_a_picture_of_another_size_is_refused_with_both_sizes(pixels):
    with pytest.raises(ImageError, match="32x32 px; this tokenizer takes 32x16 px"):
        VQGAN(WIDE).encode(pixels)


def test_sizes_that_cannot_be_built_are_refused():
    with pytest.raises(ConfigError, match="ch is 48"):
        replace(WIDE, ch=48)
    with pytest.raises(ConfigError, match=r"30x16 px cannot be halved 2 times.*multiples of 4"):
        replace(WIDE, width=30)
