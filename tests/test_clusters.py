"""Ray's own lines stay off stderr."""

import io
import logging
import subprocess
import sys

import pytest

from kyvo.clusters import _silence

RUN = """
import sys
from pathlib import Path
from kyvo.data.dataset import write_set
from kyvo.data.generators import ClevrSet
if __name__ == "__main__":
    write_set(Path(sys.argv[1]), ClevrSet(count=2, seed=3, width=24, height=16, block=1), engine="ray", workers=1)
"""


def test_of_rays_lines_errors_alone_reach_stderr(tmp_path):
    told, kept = io.StringIO(), tmp_path / "ray.log"
    logger = logging.getLogger("ray.data")
    before, level = list(logger.handlers), logger.level
    handlers = [logging.StreamHandler(told), logging.FileHandler(kept)]
    try:
        for handler in handlers:
            logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        _silence()
        logger.info("Starting execution of Dataset")
        logger.error("out of memory")
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
    assert told.getvalue() == "out of memory\n"
    assert kept.read_text() == "Starting execution of Dataset\nout of memory\n"


@pytest.mark.slow
def test_a_set_made_by_ray_says_nothing_on_stderr(tmp_path):
    pytest.importorskip("ray", reason="needs the ray extra")
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "torchao" not in line]
    assert not lines
