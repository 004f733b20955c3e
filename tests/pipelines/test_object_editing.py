"""What an edit leaves alone stays as it was; the rest is made anew."""

import numpy as np
import pytest
import torch
from tiny_generators import SIDE, tiny_generator

from kyvo.data.meshes.procedural import procedural_library
from kyvo.errors import ConfigError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.object_editing import box_region, edit_region, mesh_region, vary_details
from kyvo.pipelines.objects import ObjectError, ObjectGenerator


@pytest.fixture(scope="module")
def generator() -> ObjectGenerator:
    return tiny_generator()


@pytest.fixture(scope="module")
def latent(generator: ObjectGenerator) -> StructuredLatent:
    return generator(text="a red chair", seed=1).slat


def feats_by_cell(latent: StructuredLatent) -> dict[tuple[int, ...], torch.Tensor]:
    return {tuple(cell): row for cell, row in zip(latent.coords.tolist(), latent.feats, strict=True)}


def test_a_variant_keeps_the_structure_and_has_other_details(generator, latent):
    one, other = vary_details(generator, latent, text="a blue table", count=2, seed=3)
    for made in (one, other):
        assert torch.equal(made.slat.coords, latent.coords)
        assert (made.slat.feats - latent.feats).abs().max() > 0.1
    assert not torch.equal(one.slat.feats, other.slat.feats)
    again = vary_details(generator, latent, text="a blue table", seed=3)[0]
    torch.testing.assert_close(again.slat.feats, one.slat.feats, rtol=1e-4, atol=1e-4)


def test_less_strength_keeps_more_of_the_input(generator, latent):
    far = [
        (vary_details(generator, latent, text="a table", strength=strength)[0].slat.feats - latent.feats).norm()
        for strength in (1.0, 0.3, 0.001)
    ]
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.02 * far[0]


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_region_changes_and_everything_outside_of_it_is_as_it_was(generator, latent, strength):
    region = box_region((-0.5, -0.5, 0.0), (0.5, 0.5, 0.5), resolution=SIDE)
    seen = []
    made = edit_region(generator, latent, region, text="a blue table", seed=4, strength=strength, progress=seen.append)
    before, after = feats_by_cell(latent), feats_by_cell(made.slat)
    outside = {cell for cell in before if not region[cell]}
    assert outside
    assert {cell for cell in after if not region[cell]} == outside
    for cell in outside:
        assert torch.equal(after[cell], before[cell])
    inside = {cell for cell in after if region[cell]}
    assert inside != {cell for cell in before if region[cell]}
    changed = [cell for cell in inside & before.keys() if not torch.equal(after[cell], before[cell])]
    assert changed
    assert [one.stage for one in seen] == ["structure"] * 6 + ["details"] * 4
    again = edit_region(generator, latent, region, text="a blue table", seed=4, strength=strength)
    torch.testing.assert_close(again.slat.feats, made.slat.feats, rtol=1e-4, atol=1e-4)


def test_what_an_edit_cannot_do_is_refused(generator, latent):
    region = box_region((-0.5, -0.5, 0.0), (0.5, 0.5, 0.5), resolution=SIDE)
    nothing, everything = torch.zeros_like(region), torch.ones_like(region)
    for given in (nothing, everything, region[1:]):
        with pytest.raises(ConfigError, match=r"The region has \d+ of \d+ cells; it is a part of the grid of 16"):
            edit_region(generator, latent, given, text="a table")
    with pytest.raises(ConfigError, match="no encoder of structures, which a region needs"):
        edit_region(tiny_generator(structure_encoder=None), latent, region, text="a table")
    with pytest.raises(ConfigError, match=r"A sampling starts at 1\.5"):
        vary_details(generator, latent, text="a table", strength=1.5)
    other = StructuredLatent(coords=latent.coords, feats=latent.feats, resolution=32)
    for edit in (vary_details, lambda *inputs, **more: edit_region(*inputs, region, **more)):
        with pytest.raises(ConfigError, match="12 features on a grid of 32; this generator makes 12 on a grid of 16"):
            edit(generator, other, text="a table")
    empty = tiny_generator()
    empty.structure_decoder.out_layer[2].bias.fill_(-1e4)
    above = StructuredLatent(coords=region.nonzero()[:50], feats=torch.zeros(50, 12), resolution=SIDE)
    with pytest.raises(ObjectError, match="Nothing is left of the object"):
        edit_region(empty, above, region, text="a table")


def test_a_box_has_the_cells_whose_centres_it_holds():
    region = box_region((-0.5, 0.0, 0.15), (0.5, 0.5, 0.26), resolution=8)
    cells = region.nonzero()
    assert cells[:, 0].unique().tolist() == list(range(8))
    assert cells[:, 1].unique().tolist() == [4, 5, 6, 7]
    assert cells[:, 2].unique().tolist() == [5]
    with pytest.raises(ConfigError, match="each side goes upwards"):
        box_region((0, 0, 0), (1, 0, 1), resolution=8)


def test_a_closed_surface_is_a_region_with_its_inside():
    from kyvo.shapes.mesh import normalized
    from kyvo.shapes.voxelize import voxelize

    crate = normalized(procedural_library(variants=1).assets["crate-0"])
    cells = voxelize(crate.triangles, resolution=SIDE)
    region = mesh_region(cells, resolution=SIDE)
    assert region[tuple(np.array(cells).T)].all()
    assert region[SIDE // 2, SIDE // 2, SIDE // 2]
    assert region.sum() > len(cells)
