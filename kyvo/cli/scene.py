"""`kyvo scene`: checks, converts, compares and draws scene files."""

import json
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from kyvo.cli.console import PlainConsole
from kyvo.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from kyvo.scene.diff import SceneDiff
    from kyvo.scene.scene import Scene, SceneObject

app = typer.Typer(no_args_is_help=True, help="Check, convert, compare and draw scene files.")


class Kind(StrEnum):
    """The formats that `convert` writes."""

    KYVO = "kyvo"
    CLEVR = "clevr"


class Source(StrEnum):
    """The formats that `convert` reads."""

    AUTO = "auto"
    KYVO = "kyvo"
    CLEVR = "clevr"


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Scene files.")],
    schema: Annotated[
        str | None, typer.Option(help="Also check words and ranges: clevr, objaworld, ..., or a YAML file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the faults of each file as JSON.")] = False,
) -> None:
    """List all faults of scene files; exit code 1 if there are any.

    Example: kyvo scene validate scenes/*.json --schema clevr
    """
    from kyvo.scene.builtin_schemas import load_schema
    from kyvo.scene.validate import validate_file

    found = None if schema is None else load_schema(schema)
    faults = {str(path): validate_file(path, found) for path in files}
    bad = sum(map(bool, faults.values()))
    if as_json:
        typer.echo(json.dumps(faults, indent=2, ensure_ascii=False))
    else:
        for path, lines in faults.items():
            typer.echo("\n".join(lines or [f"{path}: ok"]))
    if bad:
        typer.echo(f"{bad} of {len(files)} files {'has' if bad == 1 else 'have'} faults", err=True)
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A scene file, CLEVR's collected file, or a folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A .json file, or a folder: a file for each scene.")],
    to: Annotated[Kind, typer.Option(help="What to write.")] = Kind.KYVO,
    from_: Annotated[Source, typer.Option("--from", help="What IN is.")] = Source.AUTO,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Convert between scene JSON and CLEVR's files, one scene or many.

    Example: kyvo scene convert CLEVR_val_scenes.json scenes
    """
    from kyvo.scene.clevr import load_clevr_info, save_clevr, to_clevr
    from kyvo.scene.files import save_scene, write_json

    faults: list[str] = []
    scenes, collected = read_scenes(source, from_, faults)
    info = load_clevr_info(source) if collected and source.is_file() else None
    to_folder = target.suffix != ".json"
    if to is Kind.KYVO and not to_folder and len(scenes) != 1:
        raise typer.BadParameter(f"{len(scenes)} scenes do not fit the one file {target}; give a folder.")
    paths = [target / f"{stem}.json" for stem, _ in scenes] if to_folder else [target]
    standing = [path for path in paths if path.exists()]
    if to_folder and target.is_file():
        raise typer.BadParameter(f"{target} is a file; give a folder, or a name that ends in .json.")
    if standing and not force:
        raise SceneError(f"{standing[0]} exists ({len(standing)} of {len(paths)}); pass --force to overwrite.")
    if to_folder:
        target.mkdir(parents=True, exist_ok=True)
    if to is Kind.CLEVR and collected and not to_folder:
        save_clevr([scene for _, scene in scenes], target, info)
    else:
        for path, (_, scene) in zip(paths, scenes, strict=True):
            if to is Kind.KYVO:
                save_scene(scene, path)
            else:
                write_json(to_clevr(scene), path)
        if info is not None:
            typer.echo(f"the info of {source} is not part of a scene and was left out", err=True)
    for fault in faults:
        typer.echo(fault, err=True)
    typer.echo(f"{target}: {len(scenes)} scene{'' if len(scenes) == 1 else 's'}", err=True)
    if faults:
        raise typer.Exit(1)


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A scene file.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="A scene file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the difference as JSON.")] = False,
) -> None:
    """What was added, removed, moved and changed from A to B.

    Example: kyvo scene diff before.json after.json
    """
    from kyvo.scene import diff as scene_diff

    old, new = read_one(before), read_one(after)
    found = scene_diff.diff(old, new)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    elif not found:
        typer.echo("no difference")
    else:
        PlainConsole().print(_table(found, old, new))


@app.command()
def view(
    file: Annotated[Path, typer.Argument(metavar="SCENE", help="A scene file.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    truth: Annotated[Path | None, typer.Option(help="The true scene, to draw SCENE against.")] = None,
    image: Annotated[Path | None, typer.Option(help="The scene's picture, to draw over.")] = None,
) -> None:
    """Draw a scene from above, and over its picture; or a prediction against the truth.

    Example: kyvo scene view predicted.json --truth true.json --image picture.png --out view.png
    """
    from kyvo.data.meshes.object_meshes import object_meshes
    from kyvo.export.view import draw_view
    from kyvo.files import write_picture
    from kyvo.tokenizers.pictures import read_picture

    if out.suffix.lower() != ".png":
        raise ConfigError(f"{out} does not end in .png, which is what a view is written as.")
    scene = read_one(file)
    true_scene = None if truth is None else read_one(truth)
    drawn = draw_view(
        scene,
        truth=true_scene,
        picture=None if image is None else read_picture(image),
        meshes=object_meshes(scene),
        truth_meshes=None if true_scene is None else object_meshes(true_scene),
    )
    write_picture(out, drawn)
    typer.echo(f"{out}: {drawn.width}x{drawn.height} px", err=True)


def read_scenes(
    source: Path, kind: Source = Source.AUTO, faults: list[str] | None = None
) -> tuple[list[tuple[str, "Scene"]], bool]:
    """The scenes with a file stem for each, and whether they are a collection.

    Args:
        faults: takes what is wrong with files of a folder, where some can be read; None makes the first an error.
    """
    from kyvo.scene.files import json_files

    if source.is_dir():
        found, wrong = [], []
        for path in json_files(source):
            try:
                found += [(path.stem, scene) for scene in _read_file(path, kind)[0]]
            except SceneError as error:
                wrong.append(str(error))
        if not found or (wrong and faults is None):
            raise SceneError(wrong[0] if wrong else f"{source}: has no .json file.")
        if faults is not None:
            faults += wrong
        return _unique(found), True
    scenes, collected = _read_file(source, kind)
    names = [Path(scene.image or "").stem or f"scene_{index:06d}" for index, scene in enumerate(scenes)]
    return _unique(zip(names, scenes, strict=True)), collected


def _read_file(path: Path, kind: Source) -> tuple[list["Scene"], bool]:
    from kyvo.scene.clevr import is_clevr, load_clevr
    from kyvo.scene.files import read_json, scene_from_json

    data = read_json(path)
    if kind is Source.CLEVR or (kind is Source.AUTO and is_clevr(data)):
        return load_clevr(path), isinstance(data, dict) and "scenes" in data
    return [scene_from_json(data, str(path))], False


def read_one(path: Path) -> "Scene":
    scenes, _ = _read_file(path, Source.AUTO)
    if len(scenes) != 1:
        raise SceneError(f"{path}: holds {len(scenes)} scenes; one is needed. `kyvo scene convert` splits it.")
    return scenes[0]


def _unique(named: Iterable[tuple[str, "Scene"]]) -> list[tuple[str, "Scene"]]:
    rows = list(named)
    stems = [stem for stem, _ in rows]
    twice = next((stem for stem, count in Counter(stems).items() if count > 1), None)
    if twice is not None:
        raise SceneError(f"two scenes are called {twice!r}; each needs a file of its own.")
    return rows


def _table(found: "SceneDiff", old: "Scene", new: "Scene") -> Table:
    table = Table("what", "object", "from", "to", box=None)
    for index in found.removed:
        table.add_row("removed", _named(index, old.objects[index]), _shown(old.objects[index].location), "")
    for index in found.added:
        table.add_row("added", _named(index, new.objects[index]), "", _shown(new.objects[index].location))
    for move in found.moved:
        item = old.objects[move.before]
        there = _shown(new.objects[move.after].location)
        table.add_row(f"moved by {move.distance:.3g}", _named(move.before, item), _shown(item.location), there)
    for change in found.changed:
        item = _named(change.before, old.objects[change.before])
        table.add_row(f"changed {change.attribute}", item, _shown(change.old), _shown(change.new))
    return table


def _named(index: int, item: "SceneObject") -> str:
    words = (item.size, item.color, item.material, item.shape or item.category)
    return " ".join([f"#{index}", *(word for word in words if word)])


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{number:.3g}" for number in value[:6]) + (" ..." if len(value) > 6 else "")
    return "none" if value is None else str(value)
