"""Which of several objects a picture shows, from whatever side, and what generators do with that."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_generators import tiny_generator

from kyvo.data.object_pictures import ObjectPicture, cut_out
from kyvo.errors import CheckpointError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.likeness import picture_distance
from kyvo.pipelines.objects import GeneratedObject, ObjectError, ObjectGenerator, Samples, likest
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.surfaces import surface_asset
from kyvo.shapes.training_meshes import draw_mesh
from kyvo.shapes.views import MeshViews, sphere_cameras

pytest.importorskip("open3d")


@pytest.fixture(scope="module")
def latents() -> list[StructuredLatent]:
    return [surface_latent(draw_mesh(seed=3, index=index), resolution=32) for index in (1, 2)]


def picture_of(latent: StructuredLatent, *, view: int) -> ObjectPicture:
    camera = sphere_cameras(24, size=96, offset=(0.3, 0.6))[view]
    return cut_out(np.round(255 * MeshViews(surface_asset(extract_mesh(latent))).picture(camera)).astype(np.uint8))


def test_an_object_looks_most_like_its_own_picture(latents):
    made = [GeneratedObject(slat=latent, seed=0, sample=index) for index, latent in enumerate(latents)]
    for index, latent in enumerate(latents):
        assert likest(made, picture_of(latent, view=3 + 11 * index))[0].sample == index


def test_an_object_without_a_surface_comes_last(latents):
    feats = latents[0].feats.clone()
    feats[:, -3:] = -1.0  # no edge is crossed
    whole, nothing = (
        GeneratedObject(slat=replace(latents[0], feats=some), seed=0, sample=index)
        for index, some in enumerate((latents[0].feats, feats))
    )
    picture = picture_of(latents[0], view=3)
    assert [item.sample for item in likest([nothing, whole], picture)] == [0, 1]


@pytest.mark.slow
def test_a_generator_with_tries_gives_the_likest_samples_of_a_picture(latents, tmp_path):
    picture = picture_of(latents[0], view=3)
    plain = tiny_generator()
    trying = replace(plain, picture_tries=2)
    tries = plain.generate(image=picture, count=2, seed=1)
    (best,) = trying.generate(image=picture, seed=1)
    nearest = min(tries, key=lambda item: picture_distance(item.mesh, picture))
    assert best.sample == nearest.sample and best.slat.coords.equal(nearest.slat.coords)
    assert len(trying.generate(image=picture, count=3, seed=1)) == 3
    assert trying(text="a red chair", seed=1).sample == 0  # texts have nothing to be compared with

    trying.save_pretrained(tmp_path / "generator")
    assert ObjectGenerator.from_pretrained(tmp_path / "generator").picture_tries == 2
    file = tmp_path / "generator" / "pipeline.json"
    file.write_text(file.read_text().replace('"picture_tries": 2', '"picture_tries": 0'))
    with pytest.raises(CheckpointError, match="picture_tries is 0; it takes a whole number of at least 1"):
        ObjectGenerator.from_pretrained(tmp_path / "generator")


def test_empty_samples_beyond_those_that_are_needed_are_left_out():
    generator = tiny_generator()
    condition, samples = generator.condition(text="a red chair"), Samples(count=3, seed=1)
    counts = [len(cells) for cells in generator.sample_structure(condition, samples)]
    logits = generator.structure_decoder(generator.sample_structure_latents(condition, samples))
    # Raised so far that one sample alone has cells left.
    highest = logits.flatten(1).amax(1).sort().values
    generator.structure_decoder.out_layer[2].bias -= float(highest[-2] + highest[-1]) / 2
    (kept,) = generator.sample_structure(condition, samples, needed=1)
    assert 0 < len(kept) < max(counts)
    with pytest.raises(ObjectError, match="has no cell"):
        generator.sample_structure(condition, samples, needed=2)
