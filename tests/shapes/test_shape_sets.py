import numpy as np
import pytest

from kyvo.data.meshes.procedural import BUILDERS
from kyvo.errors import CheckpointError, ConfigError
from kyvo.shapes.sets import LatentFolder, write_drawn_latents, write_mesh_latents
from kyvo.shapes.training_meshes import draw_mesh

CORNERS = "v 0 0 0\nv 1 0 0\nv 0 2 0\nv 0 0 1\n"


@pytest.mark.parametrize("index", range(12))
def test_a_drawn_mesh_fills_the_cube_and_is_the_same_for_the_same_numbers(index):
    mesh = draw_mesh(seed=3, index=index)
    low, high = mesh.triangles.min((0, 1)), mesh.triangles.max((0, 1))
    assert (high - low).max() == pytest.approx(1) and low + high == pytest.approx(np.zeros(3), abs=1e-9)
    assert 0 <= mesh.colors.min() <= mesh.colors.max() <= 1
    again = draw_mesh(seed=3, index=index)
    assert np.array_equal(mesh.triangles, again.triangles) and np.array_equal(mesh.colors, again.colors)
    assert not np.array_equal(mesh.triangles, draw_mesh(seed=4, index=index).triangles)


def test_half_of_the_drawn_meshes_are_things_of_the_library():
    kinds = [draw_mesh(seed=0, index=index).category for index in range(60)]
    assert set(kinds) <= {*BUILDERS, "assembly"}
    assert 15 < kinds.count("assembly") < 45 and len(set(kinds)) > 8


def test_latents_that_are_there_are_not_made_again(tmp_path):
    assert write_drawn_latents(tmp_path, count=3, seed=0, resolution=8) == []
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(times) == ["000000.npz", "000001.npz", "000002.npz"]
    (tmp_path / "000001.npz").unlink()
    write_drawn_latents(tmp_path, count=3, seed=0, resolution=8)
    assert (tmp_path / "000000.npz").stat().st_mtime_ns == times["000000.npz"]
    assert len(LatentFolder.of(tmp_path, resolution=8)) == 3


def test_a_mesh_that_is_no_good_is_named_and_the_others_are_kept(tmp_path):
    meshes = tmp_path / "meshes" / "toys"
    meshes.mkdir(parents=True)
    (meshes / "good.obj").write_text(CORNERS + "f 1 2 3\nf 1 2 4\n")
    (meshes / "flat.obj").write_text(CORNERS)
    (meshes / "notes.txt").write_text("no mesh")
    faults = write_mesh_latents(tmp_path / "meshes", tmp_path / "out", resolution=8)
    assert len(faults) == 1 and "flat.obj" in faults[0]
    latents = LatentFolder.of(tmp_path / "out", resolution=8)
    assert [path.name for path in latents.paths] == ["good.obj.npz"]
    assert latents[0].feats.shape[1] == 12 and latents[0].coords.max() == 7


def test_a_folder_without_meshes_or_latents_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"has no mesh; known are \.glb, \.gltf, \.obj, \.ply"):
        write_mesh_latents(tmp_path, tmp_path / "out", resolution=8)
    with pytest.raises(ConfigError, match=r"has no \.npz of a latent"):
        LatentFolder.of(tmp_path, resolution=8)


def test_latents_of_a_finer_grid_are_refused_by_their_file(tmp_path):
    write_drawn_latents(tmp_path, count=1, seed=0, resolution=16)
    with pytest.raises(CheckpointError, match=r"000000\.npz: coords claims to be .*; the grid has 512 cells"):
        LatentFolder.of(tmp_path, resolution=8)[0]
