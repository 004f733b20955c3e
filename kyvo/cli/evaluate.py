"""`kyvo evaluate`: figures of anybody's predictions from plain files, each with its protocol and its interval."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from kyvo.cli.console import PlainConsole

if TYPE_CHECKING:
    from kyvo.evaluation.results import Figure, Results

app = typer.Typer(no_args_is_help=True, help="Compare predictions with the truth, from plain files.")

SHOWN = 10  # exclusions listed on stderr; the result file lists all

Predictions = Annotated[Path, typer.Argument(exists=True, help="A folder of scene files, JSONL, JSON, or a set.")]
Truth = Annotated[Path, typer.Argument(exists=True, help="The same forms; or Omni3D's annotations.")]
Out = Annotated[Path | None, typer.Option(help="Write figures, protocol, matches and exclusions to this JSON file.")]
Report = Annotated[
    Path | None, typer.Option(help="Write an HTML page with tables, plots and a gallery to this folder.")
]
Images = Annotated[Path | None, typer.Option(help="The pictures' folder, for the report's gallery.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")]
Seed = Annotated[int, typer.Option(help="Of the bootstrap.")]


class Protocol(StrEnum):
    """Whose rules are followed."""

    PAPER = "paper"
    RELEASE = "release"


@app.command()
def scenes(
    predictions: Predictions,
    truth: Truth,
    protocol: Annotated[Protocol, typer.Option(help="The paper's, or the released scripts' as they are.")] = (
        Protocol.PAPER
    ),
    schema: Annotated[
        str | None, typer.Option(help="Whose criterion: clevr, objaworld, objectron, ...; by default the truth's.")
    ] = None,
    tau: Annotated[list[float] | None, typer.Option(help="Distances; by default the paper's for the schema.")] = None,
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out predicted objects below it.")] = 0.0,
    out: Out = None,
    report: Report = None,
    images: Images = None,
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Jaccard index a tau and mean, greedy and optimal; attributes, positions, counts.

    Example: kyvo evaluate scenes scenes.jsonl data/clevr --report report
    """
    from kyvo.evaluation.detections import is_detections, read_detected_scenes
    from kyvo.evaluation.inputs import read_scenes
    from kyvo.evaluation.scenes import evaluate_released, evaluate_scenes, filter_by_confidence
    from kyvo.metrics.scenes import criterion_for

    if protocol is Protocol.RELEASE:
        if confidence:
            raise typer.BadParameter("the released scripts apply no threshold.", param_hint="--confidence")
        taus = tau or criterion_for(schema or "clevr").taus
        results = evaluate_released(predictions, truth, schema=schema or "clevr", taus=taus, seed=seed)
    else:
        true_scenes = read_scenes(truth, schema)
        if is_detections(predictions):
            found = read_detected_scenes(predictions, truth, schema=schema)
        else:
            found = read_scenes(predictions, schema)
        found = filter_by_confidence(found, confidence)
        results = evaluate_scenes(found, true_scenes, schema=schema, taus=tau, confidence=confidence, seed=seed)
    finish(results, out=out, report=report, as_json=as_json, images=images)


@app.command()
def boxes(
    predictions: Annotated[Path, typer.Argument(exists=True, help="Detections in Omni3D's form (.json, .pth).")],
    truth: Annotated[Path, typer.Argument(exists=True, help="Omni3D's annotations.")],
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Leave out detections below it.")] = 0.0,
    proximity: Annotated[
        bool | None, typer.Option(help="Count only detections near an annotation; by default as Omni3D does by name.")
    ] = None,
    out: Out = None,
    report: Report = None,
    images: Images = None,
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """AP3D and AP2D under Omni3D's protocol.

    Example: kyvo evaluate boxes detections.json objectron_test.json
    """
    from kyvo.evaluation.boxes import evaluate_boxes

    results = evaluate_boxes(predictions, truth, confidence=confidence, proximity=proximity, seed=seed)
    finish(results, out=out, report=report, as_json=as_json, images=images)


@app.command()
def answers(
    predictions: Annotated[Path, typer.Argument(exists=True, help="JSONL, JSON or text with an answer a line.")],
    truth: Annotated[Path, typer.Argument(exists=True, help="The same, CLEVR's questions, or a set with questions.")],
    protocol: Annotated[Protocol, typer.Option(help="By key, or the released script as it is.")] = Protocol.PAPER,
    out: Out = None,
    report: Report = None,
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Exact match, in all and by family and type, with the score of guessing.

    Example: kyvo evaluate answers answers.jsonl data/questions --json
    """
    from kyvo.evaluation.answers import evaluate_answers, evaluate_released_answers, read_answers

    if protocol is Protocol.RELEASE:
        results = evaluate_released_answers(predictions, truth, seed=seed)
    else:
        results = evaluate_answers(read_answers(predictions, truth), read_answers(truth), seed=seed)
    finish(results, out=out, report=report, as_json=as_json)


@app.command()
def language(
    cases: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="JSONL of text, scene, and answer, scene_after or refused; or CLEVR's questions (with --scenes).",
        ),
    ],
    scenes: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="CLEVR's scenes that its questions are about.")
    ] = None,
    schema: Annotated[str, typer.Option(help="The scenes' schema: a name, or a YAML file.")] = "clevr",
    parser: Annotated[str, typer.Option(help="Who reads the texts; as of kyvo chat.")] = "grammar",
    language_model: Annotated[
        str | None,
        typer.Option(help="A model folder or name: also what it writes itself, without programs, as in the paper."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Units that an object of a scene after may stand off.")
    ] = 0.05,
    out: Out = None,
    report: Report = None,
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """Texts about scenes: answers and whole scenes right, refusals right and wrong, by source and construct.

    Example: kyvo evaluate language cases.jsonl --report report
    """
    from kyvo.cli.parsers import load_parser, load_writer
    from kyvo.evaluation.clevr_questions import read_questions
    from kyvo.evaluation.language import evaluate_language, read_case_items
    from kyvo.scene.builtin_schemas import load_schema

    reader = load_parser(parser)
    if reader is None:
        raise typer.BadParameter("auto needs a model; name its folder.", param_hint="--parser")
    items = read_case_items(cases) if scenes is None else read_questions(cases, scenes)
    alone = None if language_model is None else load_writer(language_model)
    results = evaluate_language(
        items, reader, load_schema(schema), language_model=alone, tolerance=tolerance, seed=seed
    )
    finish(results, out=out, report=report, as_json=as_json)


class GeometryProtocol(StrEnum):
    """Whose frames, points, tau and alignment."""

    I_SCENE = "i-scene"
    SCENEGEN = "scenegen"
    TRELLIS = "trellis"


@app.command()
def pictures(
    predictions: Annotated[Path, typer.Argument(exists=True, help="A folder of pictures.")],
    truth: Annotated[Path, typer.Argument(exists=True, help="A folder of pictures of the same names.")],
    protocol: Annotated[
        Protocol, typer.Option(help="SSIM of its paper in colour, or grey as the released script has it.")
    ] = Protocol.PAPER,
    scenes: Annotated[
        Path | None, typer.Option(exists=True, help="What the pictures show: adds figures around each object.")
    ] = None,
    rerecognise: Annotated[
        str | None, typer.Option(help="A model folder or name: the Jaccard of what it sees against --scenes.")
    ] = None,
    schema: Annotated[str | None, typer.Option(help="Whose criterion; by default the scenes'.")] = None,
    lpips_trunk: Annotated[Path | None, typer.Option(help="torchvision's state dict of the network.")] = None,
    lpips_heads: Annotated[Path | None, typer.Option(help="lpips' linear layers for it.")] = None,
    lpips_net: Annotated[str, typer.Option(help="alex or vgg.")] = "alex",
    clip: Annotated[Path | None, typer.Option(help="CLIP's folder, as transformers writes it.")] = None,
    dino: Annotated[Path | None, typer.Option(help="DINO's folder, as transformers writes it.")] = None,
    inception: Annotated[Path | None, typer.Option(help="pytorch-fid's Inception weights: adds FID.")] = None,
    out: Out = None,
    report: Report = None,
    as_json: AsJson = False,
    seed: Seed = 0,
) -> None:
    """SSIM, L2 and PSNR; around each object; re-recognition; LPIPS, CLIP, DINO and FID where weights are given.

    Example: kyvo evaluate pictures rendered truth --out results.json
    """
    from kyvo.evaluation.inputs import read_scenes
    from kyvo.evaluation.perceptual import load_networks
    from kyvo.evaluation.pictures import evaluate_pictures

    networks = load_networks(
        lpips_trunk=lpips_trunk, lpips_heads=lpips_heads, lpips_net=lpips_net, clip=clip, dino=dino, inception=inception
    )
    recognise = None
    if rerecognise is not None:
        from kyvo.api import Kyvo

        recognise = Kyvo.from_pretrained(rerecognise).recognize
    results = evaluate_pictures(
        predictions,
        truth,
        released=protocol is Protocol.RELEASE,
        scenes=None if scenes is None else read_scenes(scenes, schema),
        networks=networks,
        recognise=recognise,
        recogniser=rerecognise or "",
        schema=schema,
        seed=seed,
    )
    finish(results, out=out, report=report, as_json=as_json, images=predictions)


@app.command()
def geometry(
    predictions: Annotated[Path, typer.Argument(exists=True, help="A folder of GLB, OBJ or PLY files, a scene each.")],
    truth: Annotated[Path, typer.Argument(exists=True, help="A folder of files of the same names.")],
    protocol: Annotated[
        GeometryProtocol, typer.Option(help="Whose frames, points, tau and alignment.")
    ] = GeometryProtocol.I_SCENE,
    alignment: Annotated[
        str | None, typer.Option(help="none, icp, robust-icp or filterreg, in place of the protocol's.")
    ] = None,
    tau: Annotated[float | None, typer.Option(help="Distance of the F-score, in place of the protocol's.")] = None,
    points: Annotated[int | None, typer.Option(min=1, help="Of each object, in place of the protocol's.")] = None,
    up: Annotated[str, typer.Option(help="The files' up axis: x, y or z; glTF's is y.")] = "y",
    out: Out = None,
    report: Report = None,
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the points and of the bootstrap.")] = 0,
) -> None:
    """Chamfer distance and F-score of scenes and objects, IoU of their boxes, collisions.

    Example: kyvo evaluate geometry meshes true_meshes --protocol scenegen
    """
    from kyvo.evaluation.geometry import evaluate_geometry

    results = evaluate_geometry(
        predictions,
        truth,
        protocol=protocol.value,
        alignment=alignment,
        tau=tau,
        num_points=points,
        up=up,
        seed=seed,
    )
    finish(results, out=out, report=report, as_json=as_json)


@app.command()
def generation(
    made: Annotated[Path, typer.Argument(exists=True, help="A folder of GLB, OBJ or PLY files, or a set of objects.")],
    truth: Annotated[Path, typer.Argument(exists=True, help="Held-out objects; one of the same name is a pair.")],
    training: Annotated[
        Path | None, typer.Option(exists=True, help="Objects that the generator was trained on, to find copies of.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="A generator's name or folder: FD, KD and similarity by its picture encoder.")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="CLIP's folder, as transformers writes it: scores of texts.")
    ] = None,
    dino: Annotated[Path | None, typer.Option(help="DINO's folder, as transformers writes it.")] = None,
    out: Out = None,
    report: Report = None,
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """F-score, IoU, category and color of generated objects; MMD, coverage, 1-NNA; the nearest training objects; what
    edits kept; FD, KD and CLIP scores where encoders are given.

    Example: kyvo evaluate generation made data/held_out --training data/objects --report report
    """
    from kyvo.evaluation.generation import evaluate_generation, read_objects
    from kyvo.evaluation.generation_features import load_encoders
    from kyvo.evaluation.generation_sheet import generation_sheet
    from kyvo.files import write_picture

    own = None
    if features is not None:
        from kyvo.pipelines.objects import ObjectGenerator

        own = ObjectGenerator.from_pretrained(features).encoder("picture")
    encoders = load_encoders(own=own, name=Path(features or "").name, clip=clip, dino=dino)
    results = evaluate_generation(made, truth, training=training, encoders=encoders, seed=seed)
    finish(results, out=out, report=report, as_json=as_json)
    if report is not None:
        named = [
            {item.name: item for item in read_objects(folder, [])} if folder is not None else {}
            for folder in (made, truth, training)
        ]
        write_picture(report / "sheet.png", generation_sheet(results.items, *named))


def finish(
    results: "Results", *, out: Path | None, report: Path | None, as_json: bool, images: Path | None = None
) -> None:
    """What each command ends with: the files asked for, the figures on stdout, what was left out on stderr."""
    from kyvo.evaluation.results import save_results

    if out is not None:
        save_results(results, out)
    if report is not None:
        from kyvo.evaluation.report import write_report

        write_report(results, report, images=images)
    if as_json:
        data = results.to_json()
        names = ("kind", "protocol", "inputs", "versions", "figures", "excluded")
        typer.echo(json.dumps({name: data[name] for name in names}, indent=1, ensure_ascii=False))
    else:
        PlainConsole().print(_table(results))
    console = PlainConsole(stderr=True)
    for row in results.excluded[:SHOWN]:
        console.print(f"{row['key']}: {row['reason']}", soft_wrap=True)
    if len(results.excluded) > SHOWN:
        rest = len(results.excluded) - SHOWN
        console.print(f"... and {rest} more; --out lists them all" if out is None else f"... and {rest} more in {out}")


def _table(results: "Results") -> Table:
    head = ", ".join(str(results.protocol[name]) for name in ("name", "schema") if name in results.protocol)
    table = Table("figure", "value", "95 % interval", "over", box=None, title=f"{results.kind}: {head}")
    for figure in results.figures:
        table.add_row(figure.name, _number(figure.value), _interval(figure), str(figure.count))
    return table


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _interval(figure: "Figure") -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.4f} to {figure.high:.4f}"
