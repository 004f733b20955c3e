import sys
from importlib import import_module

import pytest

from kyvo.errors import KyvoError
from kyvo.extras import MissingDependency, explain_open3d, extra, import_open3d


@pytest.mark.parametrize(
    ("error", "library"),
    [
        (OSError("libX11.so.6: cannot open shared object file: No such file or directory"), "libX11.so.6"),
        (ImportError("libusb-1.0.so.0: cannot open shared object file: No such file or directory"), "libusb-1.0.so.0"),
    ],
)
def test_a_missing_system_library_is_named_with_the_line_that_installs_it(error, library):
    explained = explain_open3d(error)
    assert library in str(explained)
    assert str(explained).endswith("apt-get install -y libusb-1.0-0 libgl1 libegl1 libx11-6 libudev1 libidn2-0")


def test_a_missing_package_is_answered_with_the_extra_that_brings_it():
    with (
        pytest.raises(MissingDependency, match=r'package kyvo_lacks is not .*Run: pip install "kyvo\[data\]"$'),
        extra("data"),
    ):
        import_module("kyvo_lacks.part")


def test_without_open3d_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingDependency, match=r'package open3d is not .*Run: pip install "kyvo\[mesh\]"$'):
        import_open3d()


def test_an_extra_that_is_there_imports_and_other_errors_pass():
    with extra("data"):
        import json
    assert json.loads("1") == 1
    with pytest.raises(ZeroDivisionError), extra("data"):
        _ = 1 / 0


def test_any_other_failure_keeps_its_own_words():
    error = ImportError("numpy.core.multiarray failed to import")
    assert "numpy.core.multiarray failed to import" in str(explain_open3d(error))


def test_users_may_catch_it_as_an_import_error_or_as_ours():
    assert issubclass(MissingDependency, ImportError) and issubclass(MissingDependency, KyvoError)


@pytest.mark.slow
def test_open3d_casts_a_ray_on_this_machine():
    open3d = import_open3d()
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(open3d.t.geometry.TriangleMesh.create_box())
    hit = scene.cast_rays(open3d.core.Tensor([[0.5, 0.5, 5.0, 0.0, 0.0, -1.0]], open3d.core.float32))
    assert hit["t_hit"].item() == pytest.approx(4.0)
