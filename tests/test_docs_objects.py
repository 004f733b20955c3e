"""docs/objects.md: its Python runs, with a tiny generator in the place of TRELLIS's."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_conditions import DINO_WIDTH, write_tiny_dino
from tiny_generators import tiny_generator

pytest.importorskip("open3d")

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "objects.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    tiny_generator(channels=8, trellis_decoders=True, cond_channels=DINO_WIDTH, encoders={}).save_pretrained(
        tmp_path / "TRELLIS-image-large"
    )
    write_tiny_dino(tmp_path / "dinov2-with-registers-large")
    for name, color in (("chair.png", (200, 30, 30)), ("other.png", (30, 30, 200))):
        rgb = np.full((60, 80, 3), 230, np.uint8)
        rgb[20:40, 20:60] = color
        Image.fromarray(rgb).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)), {})
    for name in ("chair.glb", "chair.gaussians.ply", "chair.npz", "edited.glb"):
        assert (tmp_path / name).stat().st_size > 100, name
    assert "details 0.0" in capsys.readouterr().out


def test_what_the_page_names_is_there():
    for name in re.findall(r"(?:configs|tests|recipes)/[\w/]+\.\w+", PAGE):
        assert (ROOT / name).exists(), name
