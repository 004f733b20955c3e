"""Meshes that a client sends: read alone, within limits, with what is wrong named."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trimesh
from PIL import Image
from tiny_shapes import write_box

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.pipelines.object_inputs import LatentKind
from kyvo.serving import object_reading
from kyvo.serving.limits import Limits
from kyvo.serving.object_reading import SentFile, read_files, read_sent

KIND = LatentKind(resolution=16)
LINE = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n"
)


@pytest.fixture
def box(tmp_path):
    path = tmp_path / "box.glb"
    write_box(path)
    return path


def error_of(path: Path, mask: Path | None = None) -> str:
    paths = {"object": path} | ({} if mask is None else {"mask": mask})
    answer = read_files(paths, KIND, {"object": None, "mask": None})
    assert answer.startswith(b"{"), "it was read"
    return json.loads(answer)["error"]


@pytest.mark.slow
def test_a_file_comes_back_as_it_is_read_here(box, tmp_path):
    write_box(tmp_path / "half.glb", center=(1, 0, 0))
    half = SentFile(format="glb", content=(tmp_path / "half.glb").read_bytes())
    found = read_sent(SentFile(format="glb", content=box.read_bytes()), KIND, Limits(), mask=half)
    assert found.item.place is not None and found.item.place.size == pytest.approx(4)
    assert found.region is not None and 0 < int(found.region.sum()) < found.region.numel()


@pytest.mark.slow
def test_reading_has_limits(box):
    mesh = trimesh.creation.icosphere(subdivisions=7)
    sent = SentFile(format="glb", content=mesh.export(file_type="glb"))
    with pytest.raises(AssetError, match=r"more (memory|than)"):
        read_sent(sent, KIND, Limits(mesh_memory=300 * 2**20))


@pytest.mark.slow
def test_a_slow_file_does_not_delay_a_quick_one(box):
    mesh = trimesh.creation.icosphere(subdivisions=7)
    slow = SentFile(format="glb", content=mesh.export(file_type="glb"))
    quick = SentFile(format="glb", content=box.read_bytes())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: read_sent(quick, KIND, Limits()), range(2)))  # both processes have started
        slowly = pool.submit(read_sent, slow, KIND, Limits(mesh_seconds=60))
        while object_reading._IDLE.qsize() == object_reading.READERS:
            time.sleep(0.001)
        read_sent(quick, KIND, Limits())
        read_first = not slowly.done()
        assert len(slowly.result().item.latent.coords)
    assert read_first


def test_meshes_without_a_surface_are_named(box, tmp_path):
    flat = tmp_path / "flat.ply"
    flat.write_text(LINE)
    assert "no area" in error_of(flat)
    (tmp_path / "nan.ply").write_text(LINE.replace("1 0 0\n2", "nan 0 0\n2"))
    assert "NaN" in error_of(tmp_path / "nan.ply")
    (tmp_path / "cut.glb").write_bytes(box.read_bytes()[:200])
    assert "not a readable" in error_of(tmp_path / "cut.glb")
    (tmp_path / "none.npz").write_bytes(b"PK")
    assert "no readable .npz" in error_of(tmp_path / "none.npz")
    write_box(tmp_path / "away.glb", center=(50, 0, 0))
    assert "lies beside the object" in error_of(box, tmp_path / "away.glb")


def test_a_file_may_name_no_other(box, tmp_path):
    """The others would be files of the server."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4), "red").save(secret)
    named = LINE.replace("element vertex", f"comment TextureFile {secret}\nelement vertex")
    named = named.replace("property float z\n", "property float z\nproperty float s\nproperty float t\n")
    named = named.replace("0 0 0\n1 0 0\n2 0 0\n", "0 0 0 0 0\n1 0 0 0 0\n0 1 0 0 0\n")
    (tmp_path / "named.ply").write_text(named)
    assert "names the file" in error_of(tmp_path / "named.ply")
    data = box.read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    for uri in ("../../../etc/passwd", "/etc/passwd", "box.glb"):
        tree["buffers"][0]["uri"] = uri
        (tmp_path / "outside.glb").write_text(json.dumps(tree))
        assert "names the file" in error_of(tmp_path / "outside.glb")
