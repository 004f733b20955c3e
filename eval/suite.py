"""python eval/suite.py --model mini --clevr SET --edits SET --questions SET --out OUT [--only PART,PART]

One model on the four tasks, compared with the figures of Kyvo's paper and with targets.

The sets are what `kyvo data clevr`, `edits` and `questions` write, none of it seen in the training; a part whose set
is not named is left out.

| part        | set       | measures                                                                            |
|-------------|-----------|-------------------------------------------------------------------------------------|
| recognition | clevr     | pictures -> scenes: Jaccard                                                         |
| rendering   | clevr     | scenes -> pictures: SSIM, L2, and Jaccard of what the model recognises in them      |
| swaps       | clevr     | the same of scenes in which one attribute of one object is another                  |
| chain       | clevr     | pictures -> scenes -> pictures -> scenes: Jaccard against the first pictures' scenes |
| editing     | edits     | scenes and instructions -> scenes: Jaccard, beside that of the scene as it was, and  |
|             |           | whether all else stays                                                              |
| questions   | questions | scenes and questions -> answers: exact match, beside what guessing scores           |

Jaccard is the paper's (`kyvo.metrics.scenes`), against truths as they are, not rounded to the model's numbers. Decoding
is greedy. Of cameras, which the paper's scenes do not have, nothing is said: pictures are read as if nobody knew what
took them, and scenes are rendered without theirs. With `--gt-camera` both know the cameras.
OUT/suite.json is written after each part, OUT/<part>.jsonl holds its items; a part that suite.json has of
the same model, set and settings is not measured again. Intervals are the bootstrap's, at 95 %.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kyvo.api import Completion, Kyvo
from kyvo.data.dataset import open_set
from kyvo.data.language.edit_phrases import KINDS
from kyvo.data.language.questions import Question, baselines
from kyvo.data.language.referents import ATTRIBUTES
from kyvo.deprecated import current_options
from kyvo.evaluation.inputs import sha256_of
from kyvo.evaluation.language import ALONE
from kyvo.evaluation.provenance import checkout_commit, machine
from kyvo.evaluation.results import Figure, mean_figure
from kyvo.evaluation.suite import (
    SEED,
    Item,
    Row,
    draw_questions,
    draw_swaps,
    edit_scores,
    first,
    in_batches,
    is_change_recognized,
    mean,
    picture_of,
    picture_scores,
    scene_of,
    scene_scores,
    turn_scores,
)
from kyvo.files import write_text
from kyvo.metrics.answers import TrueAnswer, exact_matches
from kyvo.metrics.scenes import CLEVR_TAUS
from kyvo.programs.errors import ProgramError
from kyvo.scene.scene import Scene
from kyvo.tokenizers.tasks import TASKS, Segment, Segments

ABOUT = ("*.md", "*.png", "*.log", "*.jsonl", "curves.json", "calibration.json")  # a model, and no part of it

Measured = tuple[list[Item], list[Figure]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a figure is compared with: that of the paper's 1B models, and the level that ours should reach."""

    paper: float | None = None
    level: float | None = None
    at_most: bool = False  # a level that is not to be exceeded

    def reached(self, value: float | None) -> bool | None:
        """None where no level is asked or nothing was measured."""
        if self.level is None or value is None:
            return None
        return value <= self.level if self.at_most else value >= self.level


TARGETS = {
    ("recognition", "jaccard"): Target(paper=0.9212, level=0.92),
    ("recognition", "jaccard after the best turn"): Target(level=0.95),
    ("recognition", "turn error of cubes, median degrees"): Target(level=5.0, at_most=True),
    ("rendering", "ssim"): Target(paper=0.9505, level=0.95),
    ("rendering", "l2"): Target(paper=0.0010, level=0.0010, at_most=True),
    ("rendering", "re-recognition"): Target(level=0.85),
    ("swaps", "jaccard"): Target(level=0.85),
    ("chain", "jaccard"): Target(level=0.80),
    ("editing", "jaccard"): Target(paper=0.8666, level=0.92),
    **{("editing", f"jaccard, {kind}"): Target(level=0.85) for kind in KINDS},
    ("editing", "untouched objects preserved"): Target(level=0.99),
    ("questions", "exact match"): Target(paper=0.4980, level=0.80),
    ("questions", "random"): Target(paper=0.359),
    ("questions", "most frequent"): Target(paper=0.430),
}


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints the table and returns what OUT/suite.json holds."""
    argv = current_options(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini", help="a bundled model's name, or a model folder")
    for name in ("clevr", "edits", "questions"):
        parser.add_argument(f"--{name}", type=Path, help=f"an Arrow set of `kyvo data {name}`")
    parser.add_argument("--out", type=Path, required=True, help="a folder for suite.json and the items")
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="PART,PART", help=", ".join(PARTS))
    parser.add_argument("--limit", type=int, default=2000, help="pictures, edits and questions; the first ones")
    parser.add_argument("--subset", type=int, default=200, help="how many edits are drawn, questions get a picture")
    parser.add_argument("--end-to-end", action="store_true", help="edits also from and to pictures, in one go")
    parser.add_argument("--swaps", type=int, default=24, help="of each attribute")
    parser.add_argument("--no-refine", dest="refine", action="store_false", help="as the language model alone wrote it")
    parser.add_argument(
        "--no-closed-loop", dest="closed_loop", action="store_false", help="the first renderings, uncorrected"
    )
    parser.add_argument("--gt-camera", action="store_true", help="cameras are known when reading and rendering")
    parser.add_argument("--batch-size", type=int, default=32, help="decoded together")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args(argv)
    if min(args.limit, args.subset, args.swaps, args.batch_size) < 1:
        parser.error("--limit, --subset, --swaps and --batch-size must be at least 1.")
    chosen = args.only or [name for name, part in PARTS.items() if getattr(args, part.data)]
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"--only names {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}.")
    if missing := sorted({PARTS[name].data for name in chosen if getattr(args, PARTS[name].data) is None}):
        parser.error(f"{', '.join(chosen)} need --{' and --'.join(missing)}.")
    if not chosen:
        parser.error("name at least one set: --clevr, --edits or --questions.")

    model = Kyvo.from_pretrained(args.model, device=args.device)
    path = args.out / "suite.json"
    weights = sha256_of(Path(model.model.name_or_path), without=ABOUT)
    sets = {getattr(args, PARTS[name].data) for name in chosen}
    hashes = {folder: sha256_of(folder) for folder in sets}
    parts: dict[str, Any] = json.loads(path.read_text())["parts"] if path.is_file() else {}
    parts = {name: part for name, part in parts.items() if part["settings"]["model"] == weights}  # one model a folder
    for name in chosen:
        folder = getattr(args, PARTS[name].data)
        settings = {"model": weights, "data": hashes[folder]}
        settings |= {option: getattr(args, option) for option in PARTS[name].options}
        if name in parts and parts[name]["settings"] == settings:
            print(f"{name}: taken from {path}, measured under the same settings", file=sys.stderr)
            continue
        start = time.perf_counter()
        items, figures = PARTS[name].measure(model, open_set(folder), args)
        parts[name] = {
            "figures": [asdict(figure) | _with_targets(name, figure) for figure in figures],
            "seconds": round(time.perf_counter() - start, 1),
            "set": folder.name,
            "settings": settings,
            "command": shlex.join(["python", "eval/suite.py", *argv]),
            "commit": checkout_commit(Path(__file__).parent),
            "machine": {**machine(), "threads": torch.get_num_threads(), "device": str(model.model.device)},
        }
        args.out.mkdir(parents=True, exist_ok=True)
        write_text(args.out / f"{name}.jsonl", "".join(json.dumps(item) + "\n" for item in items))
        write_text(path, json.dumps({"model": Path(args.model).name, "parts": parts}, indent=1) + "\n")
    print("\n".join(_lines({name: parts[name] for name in chosen})))
    return {"model": Path(args.model).name, "parts": parts}


# The parts


def measure_recognition(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    items = []
    for batch in in_batches(first(rows, args.limit), args.batch_size, "recognition"):
        scenes = [scene_of(row) for row in batch]
        found = recognize(model, [picture_of(row) for row in batch], args, taken=scenes)
        for row, *pair in zip(batch, found, scenes, strict=True):
            items.append(scene_scores(row["name"], *pair) | turn_scores(*pair))
    by_tau = zip(CLEVR_TAUS, zip(*(item["by_tau"] for item in items), strict=True), strict=True)
    figures = [
        mean("jaccard", items),
        *(mean_figure(f"jaccard at {tau:g}", scores, seed=SEED) for tau, scores in by_tau),
        mean("jaccard after the best turn", items),
    ]
    turns = [error for item in items for error in item["turn errors"]]
    median = float(np.median(turns)) if turns else None
    figures.append(Figure(name="turn error of cubes, median degrees", value=median, count=len(turns)))
    figures.append(mean_figure("turn within 5 degrees", [error <= 5.0 for error in turns], seed=SEED))
    return items, figures


def measure_rendering(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    items = []
    for batch in in_batches(first(rows, args.limit), args.batch_size, "rendering"):
        scenes = [scene_of(row) for row in batch]
        pictures = render(model, scenes, args)
        again = recognize(model, pictures, args, drawn=scenes)
        for row, scene, ours, found in zip(batch, scenes, pictures, again, strict=True):
            items.append(scene_scores(row["name"], found, scene) | picture_scores(ours, picture_of(row)))
    return items, [mean("ssim", items), mean("l2", items), mean("re-recognition", items, "jaccard")]


def measure_swaps(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    items = []
    for batch in in_batches(draw_swaps(rows, args.swaps), args.batch_size, "swaps"):
        scenes = [swap.target for _, swap in batch]
        found = recognize(model, render(model, scenes, args), args, drawn=scenes)
        for (key, swap), scene in zip(batch, found, strict=True):
            about = {"attribute": swap.program["attribute"], "instruction": swap.instruction}
            items.append(
                scene_scores(key, scene, swap.target) | about | {"change recognized": is_change_recognized(scene, swap)}
            )
    figures = [mean("jaccard", items), mean("change recognized", items)]
    for attribute in ATTRIBUTES:
        own = [item for item in items if item["attribute"] == attribute]
        figures += [mean(f"{score}, {attribute}", own, score) for score in ("jaccard", "change recognized")]
    return items, figures


def measure_chain(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    items = []
    for batch in in_batches(first(rows, args.limit), args.batch_size, "chain"):
        taken = [scene_of(row) for row in batch]
        recognised = recognize(model, [picture_of(row) for row in batch], args, taken=taken)
        again = recognize(model, render(model, recognised, args), args, drawn=recognised)
        items += [scene_scores(row["name"], scene, scene_of(row)) for row, scene in zip(batch, again, strict=True)]
    return items, [mean("jaccard", items)]


def measure_editing(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    """The scene is edited by a program, as `Kyvo.edit` does it, and what comes out is rendered. Then the first scenes
    again as the language model alone writes them; with `--end-to-end` also scene and picture in one sequence."""
    items, figures = [], []
    ways = [("", "scene_editing", args.limit), (ALONE, "scene_editing", args.subset)]
    if args.end_to_end:
        ways.append(("end to end: ", "editing", args.limit))
    for prefix, task, limit in ways:
        done: list[Item] = []  # of this way
        for batch in in_batches(first(rows, limit), args.batch_size, f"{prefix}editing"):
            if not prefix:
                found = [by_program(model, row) for row in batch]
            else:
                found = complete(model, task, batch, [row["instruction"] for row in batch])
            # what was cut before its first object is an empty scene
            scenes = [one.scene or replace(scene_of(row), objects=()) for one, row in zip(found, batch, strict=True)]
            room = max(0, args.subset - len(done))
            pictures = [one.image for one in found[:room]] if task == "editing" else []
            if not prefix:
                pictures = render(model, scenes[:room], args)
            for row, scene, picture in zip_longest(batch, scenes, pictures):
                done.append({"task": prefix + task, **edit_scores(row, scene, picture, model.processor.schema)})
        items += done
        figures.append(mean(f"{prefix}jaccard", done, "jaccard"))
        if not prefix:
            figures.append(mean("nothing done: jaccard", done))
        for kind in KINDS:
            own = [item for item in done if item["edit"] == kind]
            figures.append(mean(f"{prefix}jaccard, {kind}", own, "jaccard"))
        for name in ("untouched objects preserved", "ssim", "l2"):
            if any(name in item for item in done):
                figures.append(mean(prefix + name, done, name))
    return items, figures


def measure_questions(model: Kyvo, rows: Any, args: argparse.Namespace) -> Measured:
    """Asked of scenes, by programs; the first ones also of the language model alone, without and with the picture."""
    asked = draw_questions(rows, args.limit)
    found = ask(model, rows, asked, "program", args)
    alone = ask(model, rows, asked[: args.subset], "scene_question_answering", args)
    shown = ask(model, rows, asked[: args.subset], "question_answering", args)
    figures = [
        mean("exact match", found, "right"),
        mean(f"{ALONE}exact match", alone, "right"),
        mean(f"{ALONE}exact match with the picture", shown, "right"),
    ]
    for group, guesses in baselines(question for *_, question in asked).items():
        suffix = "" if group == "all" else f", {group}"
        if suffix:
            own = [item for item in found if item["family"] == group]
            figures.append(mean(f"exact match{suffix}", own, "right"))
        count = int(guesses["count"])
        figures.append(Figure(name=f"random{suffix}", value=guesses["random"], count=count))
        figures.append(Figure(name=f"most frequent{suffix}", value=guesses["most_frequent"], count=count))
    return found + alone + shown, figures


def by_program(model: Kyvo, row: Row) -> Completion:
    """The scene after the row's instruction; the one before where it is refused."""
    source = scene_of(row)
    try:
        return Completion(scene=model.edit(source, row["instruction"], render=False).scene)
    except ProgramError:
        return Completion(scene=source)


def ask(
    model: Kyvo, rows: Any, asked: Sequence[tuple[str, int, Question]], task: str, args: argparse.Namespace
) -> list[Item]:
    """The items of questions, as `draw_questions` gives them: answered by programs, or by a task of the model."""
    items: list[Item] = []
    for batch in in_batches(asked, args.batch_size, task.replace("_", " ")):
        keys, places, questions = zip(*batch, strict=True)
        texts = [one.text for one in questions]
        chosen = [rows[index] for index in places]
        if task == "program":
            found = [answered(model, scene_of(row), text) for row, text in zip(chosen, texts, strict=True)]
        else:
            found = [one.text or "" for one in complete(model, task, chosen, texts)]
        truths = [TrueAnswer(text=one.answer, family=one.family, type=one.type) for one in questions]
        right = exact_matches(found, truths)
        for key, question, answer, hit in zip(keys, questions, found, right, strict=True):
            said = {"question": question.text, "predicted": answer, "true": question.answer}
            items.append({"task": task, "key": key, "family": question.family, **said, "right": float(hit)})
    return items


def answered(model: Kyvo, scene: Scene, text: str) -> str:
    """By a program; empty where it is refused."""
    try:
        return model.ask(scene, text).text
    except ProgramError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Part:
    measure: Callable[[Kyvo, Any, argparse.Namespace], Measured]
    data: str  # the option that names its set
    options: tuple[str, ...] = ("limit", "refine", "closed_loop", "gt_camera")  # that set its figures


PARTS = {
    "recognition": Part(measure=measure_recognition, data="clevr", options=("limit", "refine", "gt_camera")),
    "editing": Part(
        measure=measure_editing, data="edits", options=("limit", "subset", "end_to_end", "closed_loop", "gt_camera")
    ),
    "questions": Part(measure=measure_questions, data="questions", options=("limit", "subset")),
    "rendering": Part(measure=measure_rendering, data="clevr"),
    "chain": Part(measure=measure_chain, data="clevr"),
    "swaps": Part(measure=measure_swaps, data="clevr", options=("swaps", "refine", "closed_loop", "gt_camera")),
}


# What the model is asked


def recognize(
    model: Kyvo,
    pictures: Sequence[np.ndarray],
    args: argparse.Namespace,
    *,
    taken: Sequence[Scene] = (),
    drawn: Sequence[Scene] = (),
) -> list[Scene]:
    """The scenes in pictures; with `--gt-camera` the reader knows the cameras of the `taken` or `drawn` scenes."""
    cameras = [scene.camera for scene in taken] or [model.rendering_camera(scene) for scene in drawn]
    return model.recognize(pictures, refine=args.refine, cameras=cameras if args.gt_camera else None)


def render(model: Kyvo, scenes: Sequence[Scene], args: argparse.Namespace) -> list[np.ndarray]:
    """Renderings of the scenes; only with `--gt-camera` the scenes keep their cameras."""
    given = scenes if args.gt_camera else [replace(scene, camera=None) for scene in scenes]
    return model.render(given, closed_loop=args.closed_loop)


def complete(model: Kyvo, task: str, rows: Sequence[Row], texts: Sequence[str]) -> list[Completion]:
    """The task on each row's scene and a text, with its picture where the task takes one."""
    pictures: Sequence[Any] = [None] * len(rows)
    if Segment.IMAGE in TASKS[task].inputs:
        pictures = model.encode_images([picture_of(row) for row in rows])
    given = [
        Segments(image=codes, scene=scene_of(row), text=text)
        for codes, row, text in zip(pictures, rows, texts, strict=True)
    ]
    return model.complete(task, given)


# The table


def _with_targets(part: str, figure: Figure) -> dict[str, Any]:
    asked = TARGETS.get((part, figure.name), Target())
    return {"paper": asked.paper, "level": asked.level, "reached": asked.reached(figure.value)}


def _lines(parts: Mapping[str, Any]) -> list[str]:
    head = f"{'part':<12} {'figure':<36} {'value':>7}  {'95 % interval':<17} {'count':>6} {'paper':>7} {'asked':>7}"
    lines = [head]
    for name, part in parts.items():
        for figure in part["figures"]:
            value, low, high, paper, level = (
                "" if figure[key] is None else f"{figure[key]:.4f}"
                for key in ("value", "low", "high", "paper", "level")
            )
            interval = f"{low} - {high}" if low else ""
            verdict = {True: "reached", False: "missed", None: ""}[figure["reached"]]
            row = (
                f"{name:<12} {figure['name']:<36} {value:>7}  {interval:<17} {figure['count']:>6} {paper:>7} {level:>7}"
            )
            lines.append(f"{row} {verdict}".rstrip())
    return lines


if __name__ == "__main__":
    main()
