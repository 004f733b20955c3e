"""What a config may name: the code that configs are for, and nothing that it leads to beside that."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kyvo.errors import ConfigError
from kyvo.training.components import VARIABLE, check_components

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs" / "train").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_all_that_is_shipped_is_allowed(path):
    check_components(OmegaConf.to_container(OmegaConf.load(path), resolve=True))


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.eval", "subprocess.run", "torch.hub.load", "torch.load", "shutil.rmtree",
        "kyvo.files.shutil.rmtree", "kyvo.files.os.replace", "torchtune.config._utils.sys.exit", "kyvoevil.run",
        "torch.optim.adamw.Optional", 3, None, ["os.system"],
    ],
)  # fmt: skip
def test_other_code_is_refused_with_its_place(name):
    for config in ({"optimizer": {"_component_": name}}, {"model": {"parts": [{"deep": {"_component_": name}}]}}):
        with pytest.raises(ConfigError, match=r"_component_ is .*components are of kyvo, torch\.optim"):
            check_components(config)


def test_a_package_of_one_s_own_is_allowed_by_the_environment_and_by_nothing_else(monkeypatch):
    config = {"optimizer": {"_component_": "my_package.Optimizer"}, VARIABLE: "my_package."}
    with pytest.raises(ConfigError, match=VARIABLE):
        check_components(config)
    monkeypatch.setenv(VARIABLE, "other., my_package.")
    check_components(config)
