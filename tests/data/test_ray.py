"""Ray shares out the blocks of a set: the same bytes as from processes, and the same errors."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kyvo.cli.main import app
from kyvo.data.clevr.sampling import ClevrRules
from kyvo.data.dataset import write_set
from kyvo.data.generators import ClevrSet
from kyvo.errors import SceneError
from kyvo.extras import MissingDependency

SMALL = ClevrSet(count=5, seed=3, width=32, height=24, block=2)


@pytest.fixture(scope="module")
def cluster():
    """A local Ray of two cores, which `write_set` finds running."""
    ray = pytest.importorskip("ray", reason="needs the ray extra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "240")  # a busy machine starts it slowly
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_ray_writes_the_bytes_that_processes_write_and_goes_on_where_they_stopped(cluster, tmp_path, monkeypatch):
    whole = write_set(tmp_path / "processes", SMALL)
    monkeypatch.chdir(tmp_path)  # Ray's workers stay where they were started
    steps: list[int] = []
    assert write_set(Path("ray"), SMALL, engine="ray", workers=2, progress=steps.append)["files"] == whole["files"]
    assert sorted(steps) == [1, 2, 2]

    (tmp_path / "ray" / "data-00001-of-00003.arrow").unlink()
    (tmp_path / "ray" / "data-00001-of-00003.part").write_bytes(b"half a block")
    kept = (tmp_path / "ray" / "data-00002-of-00003.arrow").stat().st_mtime_ns
    assert write_set(Path("ray"), SMALL, engine="ray", workers=2)["files"] == whole["files"]
    assert (tmp_path / "ray" / "data-00002-of-00003.arrow").stat().st_mtime_ns == kept
    assert cluster.is_initialized(), "a Ray that was running keeps running"


@pytest.mark.slow
def test_a_task_of_ray_says_what_a_process_says(cluster, tmp_path):
    crowded = ClevrSet(count=1, seed=3, width=32, height=24, rules=ClevrRules(min_objects=40, max_objects=40))
    told = []
    for engine in ("processes", "ray"):
        with pytest.raises(SceneError, match="found no place") as error:
            write_set(tmp_path / engine, crowded, engine=engine)
        told.append((type(error.value), str(error.value)))
    assert told[0] == told[1]


def test_without_ray_the_command_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # `import ray` fails as where it is not installed
    with pytest.raises(MissingDependency, match=r'package ray is not .* pip install "kyvo\[ray\]"'):
        write_set(tmp_path / "a", SMALL, engine="ray")
    words = ["clevr", "--count", "1", "--size", "32x24", "--engine", "ray", "--out", str(tmp_path / "b")]
    result = CliRunner().invoke(app, ["data", *words])
    assert result.exit_code == 2 and 'pip install "kyvo[ray]"' in result.stderr
