"""The recipe in this process or in forked ones, on a tiny processor and set."""

import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import OmegaConf

from kyvo.testing import tiny_kyvo, tiny_processor, write_tiny_codes

TINY = Path(__file__).resolve().parents[2] / "configs" / "train" / "tiny.yaml"


class Runs:
    """Trainings with the tiny config, each in a folder of its own below `folder`."""

    def __init__(self, folder: Path, inputs: list[str]) -> None:
        self.folder = folder
        self.inputs = inputs

    def build(self, name, *overrides, sections=None, **train):
        """The recipe, not yet set up, and its config."""
        dots = [f"output_dir={self.folder / name}", *self.inputs, *overrides]
        parts = [OmegaConf.load(TINY), OmegaConf.from_dotlist(dots), sections or {}, {"train": train}]
        cfg = OmegaConf.merge(*parts)
        return FinetuneRecipe(cfg), cfg

    def run(self, name, *overrides, sections=None, **train):
        recipe, cfg = self.build(name, *overrides, sections=sections, **train)
        recipe.setup(cfg)
        recipe.train()
        recipe.cleanup()
        return recipe

    def killed(self, name, at, *, while_saving=False, count=1, sections=None, **train):
        """The same in `count` processes of its own, killed after step `at`, or while they save after it; 0: never."""
        context = multiprocessing.get_context("fork")
        meeting = self.folder / f"{name}-{at}.meeting"
        processes = [
            context.Process(target=self._child, args=(name, at, while_saving, rank, count, meeting, sections, train))
            for rank in range(count)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(200)
        codes = {process.exitcode for process in processes}
        assert codes == ({-signal.SIGKILL} if at else {0}), codes

    def _child(self, name, at, while_saving, rank, count, meeting, sections, train):
        if count > 1:
            os.environ.update(RANK=str(rank), WORLD_SIZE=str(count), LOCAL_RANK=str(rank))
            torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
        recipe, cfg = self.build(name, sections=sections, **train)
        recipe.setup(cfg)
        log = recipe._log
        write = recipe._save_folded

        def die(*args):
            os.kill(os.getpid(), signal.SIGKILL)

        def die_after(*args):
            log(*args)
            if recipe.step == at and not while_saving:
                die()

        def die_in(*args):
            write(*args)
            if recipe.step == at and while_saving:
                die()

        recipe._log, recipe._save_folded = die_after, die_in
        recipe.train()
        recipe.cleanup()
        os._exit(0)

    def losses(self, name):
        found = re.findall(r"Step (\d+) \| loss:(\S+) ", (self.folder / name / "train.log").read_text())
        return {int(step): float(loss) for step, loss in found}

    def newest(self, name):
        folder = self.folder / name
        return folder / (folder / "latest").read_text().strip()

    def state(self, name):
        return torch.load(self.newest(name) / "state.pt", weights_only=True)


@pytest.fixture(scope="session")
def tiny_inputs(tmp_path_factory):
    """Overrides that point the tiny config at a tiny processor and set."""
    folder = tmp_path_factory.mktemp("inputs")
    tiny_processor().save(folder / "processor")
    write_tiny_codes(folder / "codes", count=40)
    return [f"processor={folder / 'processor'}", f"data.folders=[{folder / 'codes'}]"]


@pytest.fixture
def runs(tmp_path, tiny_inputs):
    return Runs(tmp_path, tiny_inputs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model's."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    kyvo = tiny_kyvo()
    kyvo.model.save_pretrained(folder)
    kyvo.processor.save(folder)
    return folder
