"""`kyvo data`: makes data sets; kyvo/cli/data_sets.py has the commands for sets that are there."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kyvo.cli import data_sets
from kyvo.cli.data_making import Engine, command_line, make_set, parse_size, rendering_options
from kyvo.cli.data_sets import Schema

if TYPE_CHECKING:
    from kyvo.data.dataset import SetSettings

app = typer.Typer(no_args_is_help=True, help="Make data sets.")

Count = Annotated[int, typer.Option(min=1, help="Number of rows.")]
Out = Annotated[Path, typer.Option(help="Folder of the set; a set begun there is gone on with.")]
Seed = Annotated[int, typer.Option(min=0, help="Sets all rows, whatever the number of workers.")]
Size = Annotated[str, typer.Option(help="Pixels: 128, or 120x80 for width x height.")]
MinObjects = Annotated[int, typer.Option(min=1, help="Fewest objects in a scene.")]
MaxObjects = Annotated[int, typer.Option(min=1, help="Most objects in a scene; about 10 fit.")]
Renderer = Annotated[str, typer.Option(help="raytracer, or blender with the extra of that name.")]
Device = Annotated[str, typer.Option(help="That the ray tracer runs on: cpu, or cuda.")]
Pictures = Annotated[bool, typer.Option(help="Render the scenes; without, rows have scenes and text alone.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes, one core each.")]


Engines = Annotated[Engine, typer.Option(help="Who shares out the work: processes of this machine, or Ray.")]


@app.callback()
def data() -> None:
    """Make data sets."""


@app.command()
def clevr(
    count: Count,
    out: Out,
    seed: Seed = 0,
    size: Size = "128",
    min_objects: Annotated[int, typer.Option(min=0, help="Fewest objects in a scene; 0 for bare floors too.")] = 3,
    max_objects: MaxObjects = 10,
    camera_jitter: Annotated[
        float, typer.Option(min=0, max=2, help="Largest shift of the camera along each axis; 0 as in the paper.")
    ] = 0.5,
    schema: Annotated[
        str, typer.Option(help="clevr, or a YAML file with CLEVR's fields and words of your own.")
    ] = "clevr",
    renderer: Renderer = "raytracer",
    device: Device = "cpu",
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Ray-trace CLEVR scenes: pictures and scenes.

    Shapes are cube, sphere, cylinder and cone; colors CLEVR's and those that CSS names.

    Example: kyvo data clevr --count 1000 --out data/clevr
    """
    command = command_line("clevr", locals())

    def settings() -> "SetSettings":
        from kyvo.data.generators import ClevrSet  # torch loads in seconds: not for --help

        ray_traced = rendering_options(size, min_objects, max_objects, renderer, device, schema)
        ray_traced["rules"] = replace(ray_traced["rules"], camera_jitter=camera_jitter)
        return ClevrSet(count=count, seed=seed, **ray_traced)

    make_set(settings, out, workers, engine, command)


@app.command()
def edits(
    count: Count,
    out: Out,
    each: Annotated[int, typer.Option(min=1, help="Edits of each scene, in adjacent rows.")] = 1,
    seed: Seed = 0,
    size: Size = "128",
    min_objects: MinObjects = 3,
    max_objects: MaxObjects = 10,
    renderer: Renderer = "raytracer",
    device: Device = "cpu",
    pictures: Pictures = True,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Ray-trace CLEVR scenes before and after an instruction, of five kinds in equal shares.

    Example: kyvo data edits --count 1000 --workers 2 --out data/edits
    """
    command = command_line("edits", locals())

    def settings() -> "SetSettings":
        from kyvo.data.generators import EditSet

        ray_traced = rendering_options(size, min_objects, max_objects, renderer, device)
        return EditSet(count=count, each=each, seed=seed, pictures=pictures, **ray_traced)

    make_set(settings, out, workers, engine, command)


@app.command()
def questions(
    count: Count,
    out: Out,
    each: Annotated[int, typer.Option(min=1, help="Questions about each picture.")] = 10,
    templates: Annotated[Path | None, typer.Option(help="Folder of CLEVR's template files; our wordings else.")] = None,
    families: Annotated[str | None, typer.Option(help="Such as zero_hop,one_hop; all of them else.")] = None,
    seed: Seed = 0,
    size: Size = "128",
    min_objects: MinObjects = 3,
    max_objects: MaxObjects = 10,
    renderer: Renderer = "raytracer",
    device: Device = "cpu",
    pictures: Pictures = True,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Ray-trace CLEVR scenes with questions of the nine families, their programs and answers.

    Example: kyvo data questions --count 1000 --each 5 --out data/questions
    """
    command = command_line("questions", locals())

    def settings() -> "SetSettings":
        from kyvo.data.generators import QuestionSet

        return QuestionSet(
            count=count,
            seed=seed,
            questions=each,
            pictures=pictures,
            templates=None if templates is None else str(templates),
            families=families,
            **rendering_options(size, min_objects, max_objects, renderer, device),
        )

    make_set(settings, out, workers, engine, command)


@app.command()
def objaworld(
    count: Count,
    out: Out,
    preset: Annotated[str, typer.Option(help="park, living_room or still_life.")] = "park",
    assets: Annotated[Path | None, typer.Option(help="Folder with assets.yaml; the procedural library else.")] = None,
    seed: Seed = 0,
    size: Size = "128",
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Ray-cast scenes of meshes with position and pose.

    Example: kyvo data objaworld --count 1000 --preset living_room --out data/rooms
    """
    command = command_line("objaworld", locals())

    def settings() -> "SetSettings":
        from kyvo.data.generators import ObjaWorldSet

        width, height = parse_size(size)
        folder = None if assets is None else str(assets)
        return ObjaWorldSet(count=count, seed=seed, width=width, height=height, preset=preset, assets=folder)

    make_set(settings, out, workers, engine, command)


@app.command()
def objects(
    out: Out,
    source: Annotated[Path | None, typer.Option(help="Folder of meshes; the procedural library else.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Number of rows; of a folder, all meshes else.")] = None,
    seed: Seed = 0,
    resolution: Annotated[int, typer.Option(min=8, max=256, help="Cells along a side of the grid.")] = 32,
    pictures: Annotated[int, typer.Option(min=1, help="Pictures of each object.")] = 4,
    size: Annotated[int, typer.Option(min=16, help="Pixels of a picture's side.")] = 128,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Make single objects with surface features, pictures and captions, to train flows on.

    A folder's captions come from its manifest.jsonl: lines of {"file": ..., "caption": ..., "category": ...}.

    Example: kyvo data objects --count 1000 --out data/objects
    """
    command = command_line("objects", locals())

    def settings() -> "SetSettings":
        from kyvo.errors import ConfigError
        from kyvo.shapes.object_sets import ObjectSet

        sizes: dict[str, Any] = {"seed": seed, "resolution": resolution, "pictures": pictures, "size": size}
        if source is not None:
            return ObjectSet.of(source, limit=count, **sizes)
        if count is None:
            raise ConfigError("objects of the procedural library are drawn; say how many with --count.")
        return ObjectSet(count=count, **sizes)

    make_set(settings, out, workers, engine, command)


@app.command()
def scenes(
    count: Count,
    out: Out,
    source: Annotated[Path | None, typer.Option(help="Folder of meshes that half of the objects come from.")] = None,
    rooms: Annotated[
        Path | None,
        typer.Option(help="Folder of 3D-FRONT and 3D-FUTURE-model: furniture as it stands in their rooms."),
    ] = None,
    seed: Seed = 0,
    min_objects: Annotated[int, typer.Option(min=2, max=12, help="Fewest objects in a scene.")] = 2,
    max_objects: Annotated[int, typer.Option(min=2, max=12, help="Most objects in a scene.")] = 12,
    resolution: Annotated[int, typer.Option(min=8, max=256, help="Cells along a side of the grids.")] = 32,
    size: Annotated[int, typer.Option(min=32, help="Pixels of the picture's side.")] = 192,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Make scenes of several objects with pictures, masks, poses and cells, to train scene generators on.

    Example: kyvo data scenes --count 1000 --max-objects 5 --out data/scenes
    """
    command = command_line("scenes", locals())

    def settings() -> "SetSettings":
        from kyvo.shapes.scene_sets import SceneSet

        sizes: dict[str, Any] = {"count": count, "seed": seed, "resolution": resolution, "size": size}
        sizes |= {"min_objects": min_objects, "max_objects": max_objects}
        if rooms is not None:
            if source is not None:
                raise typer.BadParameter("give --source or --rooms, one of the two.")
            return SceneSet.of_rooms(rooms, **sizes)
        return SceneSet(**sizes) if source is None else SceneSet.of(source, **sizes)

    make_set(settings, out, workers, engine, command)


@app.command()
def folder(
    source: Annotated[Path, typer.Argument(help="Pictures and scene JSONs of the same stem.")],
    out: Out,
    schema: Schema = "clevr",
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Read your own pictures and scenes; those with a fault are left out and listed, and the exit code is 1.

    Example: kyvo data folder my_pictures --out data/mine
    """
    command = command_line("folder", locals())

    def settings() -> "SetSettings":
        from kyvo.data.imports import FolderSet

        return FolderSet.of(source, schema)

    if make_set(settings, out, workers, engine, command):
        raise typer.Exit(1)


@app.command()
def omni3d(
    annotations: Annotated[Path, typer.Argument(help="A JSON file in Omni3D's format.")],
    pictures: Annotated[Path, typer.Option(help="Folder that the file's paths start from.")],
    out: Out,
    schema: Annotated[str | None, typer.Option(help="objectron, arkitscenes, or a YAML file; else no bins.")] = None,
    flips: Annotated[bool, typer.Option(help="Add mirror images.")] = False,
    clamp: Annotated[bool, typer.Option(help="Move numbers into the bins; else their objects are left out.")] = False,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Read annotated pictures; what cannot be used is counted by its reason.

    Example: kyvo data omni3d objectron_train.json --pictures objectron --schema objectron --out data/objectron
    """
    command = command_line("omni3d", locals())

    def settings() -> "SetSettings":
        from kyvo.data.imports import Omni3dSet

        return Omni3dSet.of(annotations, pictures, schema=schema, flips=flips, clamp=clamp)

    make_set(settings, out, workers, engine, command)


@app.command()
def release(
    source: Annotated[Path, typer.Argument(help="The released folder.")],
    tokenizer: Annotated[Path, typer.Option(help="Llama-3.2's tokenizer.model.")],
    out: Out,
    dataset: Annotated[str, typer.Option(help="clevr, objaworld or objectron.")] = "clevr",
    part: Annotated[str, typer.Option(help="pairs; for CLEVR also questions and edits.")] = "pairs",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Read the released token files; says which reading fits each, and what does not.

    Example: kyvo data release kyvo-datasets --tokenizer tokenizer.model --dataset clevr --out data/released
    """
    command = command_line("release", locals())

    def settings() -> "SetSettings":
        from kyvo.data.imports import ReleaseSet

        return ReleaseSet.of(source, dataset=dataset, part=part, split=split, tokenizer=tokenizer)

    make_set(settings, out, workers, engine, command)


@app.command()
def make(
    config: Annotated[Path, typer.Option(help="A YAML file, as those in configs/data/.")],
    out: Out,
    count: Annotated[int | None, typer.Option(min=1, help="Number of rows; where files are read, all else.")] = None,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Make a set of any size by a config.

    Example: kyvo data make --config configs/data/clevr.yaml --out data/clevr
    """
    command = command_line("make", locals())

    def settings() -> "SetSettings":
        from kyvo.data.configs import load_settings

        return load_settings(config, count=count)

    make_set(settings, out, workers, engine, command)


@app.command()
def language(
    count: Count,
    out: Out,
    seed: Seed = 0,
    schema: Schema = "clevr",
    phrases: Annotated[
        float, typer.Option(min=0, max=1, help="Share of questions and instructions about drawn CLEVR scenes.")
    ] = 0.5,
    max_words: Annotated[int, typer.Option(min=4, help="Longest text that the grammar draws.")] = 100,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Write texts about scenes with the programs that they ask for, to train a model that reads them.

    Example: kyvo data language --count 1000 --out data/language
    """
    command = command_line("language", locals())

    def settings() -> "SetSettings":
        from kyvo.data.language.sentence_sets import LanguageSet

        return LanguageSet(count=count, seed=seed, schema=schema, phrases=phrases, max_words=max_words)

    make_set(settings, out, workers, engine, command)


@app.command()
def programs(
    source: Annotated[Path, typer.Argument(metavar="QUESTIONS", help="JSON Lines of {text, scene, answer}.")],
    out: Out,
    schema: Schema = "clevr",
    seed: Annotated[int, typer.Option(min=0, help="Sets the scenes on which programs must agree.")] = 0,
    workers: Workers = 1,
    engine: Engines = Engine.processes,
) -> None:
    """Search the programs of questions with known scenes and answers; those without one are left out and counted.

    Example: kyvo data programs questions.jsonl --out data/found
    """
    command = command_line("programs", locals())

    def settings() -> "SetSettings":
        from kyvo.data.language.question_sets import FoundProgramsSet

        return FoundProgramsSet.of(source, schema=schema, seed=seed)

    make_set(settings, out, workers, engine, command)


# What is done with sets that are there.
app.command()(data_sets.export)
app.command()(data_sets.validate)
app.command()(data_sets.stats)
app.command()(data_sets.show)
