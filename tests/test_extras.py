import pytest

from kyvo.errors import KyvoError
from kyvo.extras import MissingDependency, explain_open3d, import_open3d


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


def test_a_missing_package_is_answered_with_pip():
    error = ModuleNotFoundError("No module named 'open3d'", name="open3d")
    assert str(explain_open3d(error)).endswith("pip install open3d")


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
