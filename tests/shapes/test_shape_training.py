import pytest
import torch

from kyvo.errors import ConfigError
from kyvo.shapes.train_args import AdaptiveClip, ShapeTrainArgs, build_shape_config
from kyvo.shapes.vqvae import shape_mini
from kyvo.tokenizers.quantize import DeadCodeRestart, MovingAverage, VectorQuantizer


def quantizer() -> VectorQuantizer:
    """Three codes on a line: 0, 10 and 100."""
    made = VectorQuantizer(n_embed=3, embed_dim=1)
    made.embedding.weight.requires_grad_(False)[:] = torch.tensor([[0.0], [10.0], [100.0]])
    return made


def rows(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)  # batch dim height width


def test_codes_move_as_the_running_means_do_by_hand():
    codes = quantizer()
    averages = MovingAverage(codes, decay=0.75)
    averages.after(rows(1.0, 3.0, 12.0), codes.choose(rows(1.0, 3.0, 12.0)))
    # Nothing came before: a chosen code is the mean of its latents; 100 was not chosen.
    assert codes.embedding.weight.flatten().tolist() == [2.0, 12.0, 100.0]
    assert averages.counts.tolist() == [0.5, 0.25, 0.0]
    averages.after(rows(6.0), codes.choose(rows(6.0)))
    # Sum 2 * 0.5 and count 0.5 become 0.75 * 1 + 0.25 * 6 = 2.25 and 0.75 * 0.5 + 0.25 = 0.625.
    assert codes.embedding.weight[0].item() == pytest.approx(2.25 / 0.625)
    assert codes.embedding.weight[1].item() == 12.0  # its count fades, its place does not
    assert averages.counts.tolist() == pytest.approx([0.625, 0.1875, 0.0])


def test_latents_that_stay_draw_their_code_all_the_way():
    codes = quantizer()
    averages = MovingAverage(codes, decay=0.9)
    for _ in range(100):
        averages.after(rows(4.0, 5.0), codes.choose(rows(4.0, 5.0)))
    assert codes.embedding.weight[0].item() == pytest.approx(4.5, abs=1e-3)


def test_a_code_that_nobody_chose_is_put_on_a_latent_and_then_follows_it():
    codes = quantizer()
    averages = MovingAverage(codes, decay=0.5)
    restart = DeadCodeRestart(codes, patience=2, generator=torch.Generator().manual_seed(0))
    latents = rows(0.0, 12.0, 30.0)
    for _ in range(2):
        assert restart.before(latents) == 0
        indices = codes.choose(latents)
        averages.after(latents, indices)
        restart.after(indices)
    assert codes.choose(latents).flatten().tolist() == [0, 1, 1]
    assert restart.before(latents) == 1  # the code at 100
    averages.after(latents, codes.choose(latents))
    # Codes 0, 1 and 2 at 0, 21 and 12 or 30: the restarted one has a latent of its own and keeps it.
    assert codes.embedding.weight[2].item() in (12.0, 30.0)
    assert codes.choose(latents).unique().numel() == 3


def weight(gradient: float) -> torch.nn.Parameter:
    made = torch.nn.Parameter(torch.zeros(1))
    made.grad = torch.tensor([gradient])
    return made


def test_a_gradient_is_clipped_to_the_percentile_of_those_before_it():
    clip = AdaptiveClip(max_norm=10.0, percentile=50.0)
    for norm in range(1, 22):
        clip([weight(float(norm) / 10)])
    assert clip.limit == pytest.approx(1.1)  # the median of 0.1 to 2.1
    large = weight(8.0)
    assert clip([large]) == pytest.approx(8.0)
    assert large.grad.item() == pytest.approx(1.1, rel=1e-3)
    small = weight(0.5)
    clip([small])
    assert small.grad.item() == 0.5


def test_until_there_are_norms_to_compare_with_the_limit_is_the_largest_one():
    clip = AdaptiveClip(max_norm=1.0, percentile=95.0)
    large = weight(-4.0)
    assert clip([large]) == 4.0
    assert large.grad.item() == pytest.approx(-1.0, rel=1e-3)


def test_a_gradient_that_is_not_finite_is_reported_and_forgotten():
    clip = AdaptiveClip(max_norm=1.0, percentile=95.0)
    assert clip([weight(float("nan"))]) != clip([weight(0.5)])
    assert list(clip.norms) == [0.5]


def test_a_networks_section_builds_what_it_names_and_nothing_else():
    section = {"_component_": "kyvo.shapes.vqvae.shape_mini", "n_embed": 512}
    assert build_shape_config(section) == shape_mini(n_embed=512)
    with pytest.raises(ConfigError, match=r"model\._component_ is os\.system; expected one of kyvo"):
        build_shape_config({"_component_": "os.system"})
    with pytest.raises(ConfigError, match=r"model: .*unexpected keyword argument 'depth'"):
        build_shape_config(section | {"depth": 3})
    with pytest.raises(ConfigError, match="model: 2 codes along a side; at least 4 can be trained"):
        build_shape_config(section | {"resolution": 8})


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match=r"train\.grad_percentile is 0"):
        ShapeTrainArgs(steps=1, grad_percentile=0.0)
    with pytest.raises(ConfigError, match=r"train\.lpips names weights and train\.render_weight is 0"):
        ShapeTrainArgs(steps=1, lpips=["vgg.pth"], render_weight=0.0)
