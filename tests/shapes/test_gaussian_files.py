"""Gaussians in the files of 3D Gaussian splatting."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.errors import SceneError
from kyvo.models.slat.gaussians import Gaussians
from kyvo.shapes.gaussian_files import PROPERTIES, read_gaussians, write_gaussians


def some_gaussians(seed: int, count: int = 20) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    return Gaussians(
        positions=torch.rand(count, 3, generator=generator) - 0.5,
        scales=torch.rand(count, 3, generator=generator) * 0.05 + 1e-4,
        rotations_wxyz=torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=1),
        opacities=torch.rand(count, generator=generator) * 0.98 + 0.01,
        colors=torch.rand(count, 3, generator=generator),
    )


@settings(max_examples=5)
@given(seed=st.integers(0, 2**31))
def test_gaussians_come_back(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("splats") / "splats.ply"
    made = some_gaussians(seed)
    write_gaussians(made, path)
    read = read_gaussians(path)
    for name in ("positions", "scales", "opacities", "colors"):
        torch.testing.assert_close(getattr(read, name), getattr(made, name), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(read.covariances(), made.covariances(), rtol=1e-4, atol=1e-8)  # q and -q are one turn
    assert [file.name for file in path.parent.iterdir()] == ["splats.ply"]


def test_the_file_has_the_usual_columns_with_y_down(tmp_path: Path) -> None:
    half_turn = 0.5**0.5
    one = Gaussians(
        positions=torch.tensor([[0.1, 0.2, 0.3]]),
        scales=torch.tensor([[0.5, 0.25, 0.125]]),
        rotations_wxyz=torch.tensor([[half_turn, 0.0, 0.0, half_turn]]),  # x to y, about z
        opacities=torch.tensor([0.5]),
        colors=torch.tensor([[0.5, 1.0, 0.0]]),
    )
    write_gaussians(one, tmp_path / "one.ply")
    data = (tmp_path / "one.ply").read_bytes()
    header, _, body = data.partition(b"end_header\n")
    assert header.decode().splitlines()[3:] == [f"property float {name}" for name in PROPERTIES]
    row = dict(zip(PROPERTIES, np.frombuffer(body, "<f4").tolist(), strict=True))
    assert (row["x"], row["y"], row["z"]) == pytest.approx((0.1, -0.3, 0.2))  # up, 0.3, is -y
    assert (row["f_dc_0"], row["f_dc_1"], row["f_dc_2"]) == pytest.approx((0, 0.5 / 0.28209479, -0.5 / 0.28209479))
    assert row["opacity"] == pytest.approx(0, abs=1e-6)
    assert [row[f"scale_{axis}"] for axis in range(3)] == pytest.approx(np.log([0.5, 0.25, 0.125]))
    w, x, y, z = (row[f"rot_{part}"] for part in range(4))
    long_axis = (1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y))
    assert long_axis == pytest.approx((0, 0, 1), abs=1e-6)  # the object's y is the file's z


def test_trimesh_reads_the_points(tmp_path: Path) -> None:
    import trimesh

    made = some_gaussians(3)
    write_gaussians(made, tmp_path / "splats.ply")
    x, y, z = made.positions.numpy().T
    cloud = trimesh.load(tmp_path / "splats.ply")
    assert np.asarray(cloud.vertices) == pytest.approx(np.stack([x, -z, y], axis=1), abs=1e-6)


def test_colors_that_depend_on_the_view_are_passed_over(tmp_path: Path) -> None:
    made = some_gaussians(4)
    write_gaussians(made, tmp_path / "plain.ply")
    header, end, body = (tmp_path / "plain.ply").read_bytes().partition(b"end_header\n")
    rows = np.frombuffer(body, "<f4").reshape(-1, len(PROPERTIES))
    more = np.concatenate([rows, np.full((len(rows), 2), 7, "<f4")], axis=1)
    extra = b"property float f_rest_0\nproperty float f_rest_1\n"
    (tmp_path / "more.ply").write_bytes(header + extra + end + more.tobytes())
    torch.testing.assert_close(
        read_gaussians(tmp_path / "more.ply").colors, read_gaussians(tmp_path / "plain.ply").colors, rtol=0, atol=0
    )


def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "bad.ply"
    with pytest.raises(AssetError, match=r"bad\.ply does not exist"):
        read_gaussians(path)
    path.write_text("a text")
    with pytest.raises(AssetError, match=r"bad\.ply is no binary little-endian PLY"):
        read_gaussians(path)
    start = "ply\nformat binary_little_endian 1.0\n"
    path.write_text(start + "element vertex 1\nproperty float x\nend_header\n....")
    with pytest.raises(AssetError, match=r"bad\.ply holds no Gaussians: it lacks y, z, f_dc_0"):
        read_gaussians(path)
    write_gaussians(some_gaussians(0), path)
    data = path.read_bytes()
    path.write_bytes(data[:-8])
    with pytest.raises(AssetError, match=r"bad\.ply: its header claims 20 Gaussians of 68 bytes; 1,352 bytes"):
        read_gaussians(path)
    path.write_bytes(data[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(AssetError, match=r"bad\.ply: rot_3: 1 of 20 values are NaN"):
        read_gaussians(path)
    path.write_bytes(data.replace(b"property float x", b"property blob x"))
    with pytest.raises(AssetError, match=r"bad\.ply: 'property blob x' is of no type known here"):
        read_gaussians(path)


def test_nothing_is_left_where_a_file_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"splats\.ply: cannot be written"):
        write_gaussians(some_gaussians(0), tmp_path / "none" / "splats.ply")
    assert not list(tmp_path.iterdir())
