"""Ray's workers recognise what this machine's model does."""

import numpy as np
import pytest
from PIL import Image

from kyvo.batch import recognize_files, write_scenes
from kyvo.batch.inputs import find_pictures
from kyvo.batch.ray import recognize_by_ray
from kyvo.scene.files import load_scene
from kyvo.testing import tiny_kyvo


@pytest.fixture(scope="module")
def cluster():
    """A local Ray of two cores, which the run finds running."""
    ray = pytest.importorskip("ray", reason="needs the ray extra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "240")  # a busy machine starts it slowly
        patch.setenv("RAY_worker_niceness", "0")  # by default other work comes first, and on a busy machine it all does
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ray_finds_the_scenes_that_one_machine_finds_and_tells_the_same_faults(cluster, tmp_path, monkeypatch):
    model = tiny_kyvo(seed=5)
    model.model.save_pretrained(tmp_path / "tiny")
    model.processor.save(tmp_path / "tiny")
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(5):
        pixels = np.random.default_rng(index).integers(0, 255, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{index}.png")
    (photos / "5.png").write_text("no picture")
    alone = recognize_files(type(model).from_pretrained(tmp_path / "tiny", device="cpu"), [photos], tmp_path / "alone")
    monkeypatch.chdir(tmp_path)  # Ray's workers stay where they were started

    def by_ray(items):
        return recognize_by_ray(items, model="tiny", device="cpu", batch_size=2, workers=1)

    lines = write_scenes(find_pictures([photos]), by_ray, tmp_path / "ray", model="tiny")
    told = {line.input: (line.status, line.error, line.objects, line.size, line.mtime_ns) for line in alone}
    assert told == {line.input: (line.status, line.error, line.objects, line.size, line.mtime_ns) for line in lines}
    for index in range(5):
        one, other = (load_scene(tmp_path / name / f"{index}.json") for name in ("alone", "ray"))
        assert [item.location for item in one.objects] == [item.location for item in other.objects]
    assert all(
        line.status == "skipped"
        for line in write_scenes(
            find_pictures([photos / f"{index}.png" for index in range(5)]),
            by_ray,
            tmp_path / "ray",
            model="tiny",
            resume=True,
        )
    )
    assert cluster.is_initialized(), "a Ray that was running keeps running"
