import loading
import numpy as np
import pytest
import torch
import yaml

from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig


def test_a_checkpoint_becomes_a_folder_once(tmp_path, capsys):
    network = {
        "ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [], "in_channels": 3, "out_ch": 3,
        "z_channels": 4,
    }  # fmt: skip
    params = {"embed_dim": 4, "n_embed": 16, "ddconfig": network | {"resolution": 16}}
    project = {"model": {"target": "taming.models.vqgan.GumbelVQ", "params": params}}
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(project))
    model = VQGAN(VQGANConfig(width=16, height=16, embed_dim=4, n_embed=16, quantizer="gumbel", **network))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "last.ckpt")
    files = [str(tmp_path / name) for name in ("project.yaml", "last.ckpt")]
    with loading.program("tokenizers/convert.py") as program:
        out = program.main(["--taming", *files, "--out", str(tmp_path / "folder")])
        assert "16x16 px -> 8 x 8 of 16 codes of 4 dimensions, quantizer gumbel" in capsys.readouterr().out
        picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
        expected = ImageTokenizer(model).encode(picture)
        assert np.array_equal(ImageTokenizer.from_pretrained(out).encode(picture), expected)
        with pytest.raises(SystemExit):
            program.main(["--taming", *files, "--out", str(out)])
    assert "exists already" in capsys.readouterr().err
