"""`kyvo recipes`: the recipes and configs that came with the package, to be listed and copied."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from kyvo.errors import ConfigError
from kyvo.files import copy_file, make_folder

app = typer.Typer(no_args_is_help=True, help="Training recipes and configs.")

FOLDERS = {"recipes": "*.py", "configs": "**/*.yaml"}


@app.command()
def ls() -> None:
    """List recipes and configs, each with what it is for.

    Example: kyvo recipes ls
    """
    for name, path in _shipped():
        typer.echo(f"{name:<52} {_about(path)}")


@app.command()
def cp(
    name: Annotated[str, typer.Argument(help="As `kyvo recipes ls` lists it: configs/train/tiny.yaml.")],
    out: Annotated[Path | None, typer.Argument(help="A file or a folder; by default the same file name here.")] = None,
) -> None:
    """Copy a recipe or a config, to be changed.

    Example: kyvo recipes cp configs/train/mini_lora.yaml my_lora.yaml
    """
    shipped = dict(_shipped())
    if name not in shipped:
        raise ConfigError(f"there is no {name!r}; `kyvo recipes ls` lists what there is.")
    path = Path.cwd() if out is None else out
    path = path / Path(name).name if path.is_dir() else path
    if path.exists():
        raise ConfigError(f"{path} exists already; name another file or remove it.")
    make_folder(path.parent)
    copy_file(shipped[name], path)
    typer.echo(path)


def _shipped() -> Iterator[tuple[str, Path]]:
    """Name -> file, in order."""
    for folder, pattern in FOLDERS.items():
        root = Path(str(files(f"kyvo.{folder}")))
        for path in sorted(root.glob(pattern)):
            if path.name != "__init__.py":
                yield f"{folder}/{path.relative_to(root).as_posix()}", path


def _about(path: Path) -> str:
    """The first words of a file's head."""
    return path.read_text(encoding="utf-8").lstrip('"# \n').splitlines()[0].strip()
