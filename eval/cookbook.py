"""python eval/cookbook.py --work DIR [--only NAME ...] [--seeds N] [--steps N] [--write FILE.md] [KEY=VALUE ...]

The ablations of Kyvo's paper (https://arxiv.org/abs/2506.08002, sections 3 to 5) at small scale: each run is the recipe
with one thing changed, on ray-traced CLEVR scenes of a few objects, and takes half a minute on two CPU cores.

Budget and recipe are configs/cookbook.yaml, of which KEY=VALUE changes anything: `train.batch_size=8`. DIR keeps the
data, coded once, and a line of `runs.jsonl` for each finished run; started again with the same settings, the program
goes on where it was stopped, and runs that several ablations share are made once. All ablations get their first seed
before any gets its second. `--tables` makes no runs. `--write` puts the tables between the markers of a Markdown file,
and plots into `images/` beside it.
"""

import argparse
import hashlib
import json
import os
import runpy
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from datasets import load_from_disk
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from kyvo.api import Kyvo
from kyvo.data.clevr import ClevrRules
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set, write_set
from kyvo.data.sets import ClevrSet, QuestionSet
from kyvo.errors import ConfigError, KyvoError
from kyvo.evaluation.provenance import checkout_commit, cpu_name
from kyvo.metrics.answers import TrueAnswer, score_answers
from kyvo.metrics.images import l2, object_squares, ssim
from kyvo.metrics.scenes import CLEVR, mean_jaccard
from kyvo.processor import Processor
from kyvo.scene.schema import clevr_schema
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.tasks import TASKS, Segment, Segments, Task
from kyvo.tokenizers.text import load_text
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.train.batch import Batch
from kyvo.train.data import COLUMNS, CodedScenes
from kyvo.train.evaluation import held_out, held_out_loss
from kyvo.train.loss import labelled_loss
from kyvo.train.model import KyvoDecoder

ROOT = Path(__file__).resolve().parent.parent
MINI = Path(str(files("kyvo"))) / "assets" / "mini"

# Input the other way round, as a task of its own.
SCENE_FIRST = Task(
    name="question_answering_scene_first",
    inputs=(Segment.SCENE, Segment.IMAGE, Segment.TEXT),
    outputs=(Segment.TEXT,),
)
TASKS[SCENE_FIRST.name] = SCENE_FIRST
COLUMNS[SCENE_FIRST.name] = COLUMNS["question_answering"]


# What is compared


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What a run may differ in. As it stands here it is the baseline."""

    task: str = "recognition"
    data: str = "large"  # small, medium, large; or single, as large and with one object a scene
    granularity: float = 0.05  # between two numbers
    numbers: str = "hybrid"
    center_first: bool = True  # of output pictures
    heavy_weight: float = 10.0  # of their first five codes in the loss
    projector: str = "linear"
    tuning: str = "scratch"  # or lora, full: from the run START

    def __str__(self) -> str:
        changes = {name: value for name, value in vars(self).items() if value != getattr(Arm, name)}
        return ", ".join(f"{name} {value}" for name, value in changes.items()) or "baseline"


START = Arm(data="single")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A table: each row and each column changes the baseline, and a cell is the run with both changes."""

    title: str
    rows_are: str
    rows: Mapping[str, Mapping[str, Any]]
    columns: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, Sequence[str]]  # of each column, names in FIGURES

    def arm(self, row: str, column: str) -> Arm:
        return Arm(**self.rows[row], **self.columns[column])

    @property
    def arms(self) -> list[Arm]:
        return [self.arm(row, column) for row in self.rows for column in self.columns]


READ = ("jaccard", "position_error", "nats_words", "nats_numbers")
ANSWERED = ("exact_match", "nats_words")
RECOGNITION = {"recognition": {}}
ABLATIONS = {
    "granularity": Ablation(
        title="Granularity of numbers",
        rows_are="granularity",
        rows={f"{step:g}": {"granularity": step} for step in (0.005, 0.05, 0.5)},
        columns={**RECOGNITION, "questions": {"task": "question_answering"}},
        figures={"recognition": READ, "questions": ANSWERED},
    ),
    "numbers": Ablation(
        title="How numbers are embedded",
        rows_are="encoding",
        rows={name: {"numbers": name} for name in ("fixed", "learned", "hybrid")},
        columns={f"{name} set": {"data": name} for name in ("small", "medium", "large")},
        figures={f"{name} set": ("jaccard", "nats_numbers") for name in ("small", "medium", "large")},
    ),
    "order": Ablation(
        title="Order and weight of output codes",
        rows_are="order, weight of the first five",
        rows={
            f"{name}, {weight:g}": {"center_first": center, "heavy_weight": weight}
            for name, center in (("center first", True), ("row-major", False))
            for weight in (10.0, 1.0)
        },
        columns={"rendering": {"task": "rendering"}},
        figures={"rendering": ("ssim", "ssim_objects", "l2", "nats_codes")},
    ),
    "inputs": Ablation(
        title="Order of the input",
        rows_are="input",
        rows={"image, scene, text": {"task": "question_answering"}, "scene, image, text": {"task": SCENE_FIRST.name}},
        columns={"questions": {}},
        figures={"questions": ANSWERED},
    ),
    "projector": Ablation(
        title="Projector of image codes",
        rows_are="projector",
        rows={name: {"projector": name} for name in ("linear", "mlp")},
        columns=RECOGNITION,
        figures={"recognition": READ},
    ),
    "tuning": Ablation(
        title="From scratch, LoRA, full fine-tuning",
        rows_are="training",
        rows={name: {"tuning": name} for name in ("scratch", "lora", "full")},
        columns=RECOGNITION,
        figures={"recognition": READ},
    ),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    title: str
    digits: int
    higher_is_better: bool = False

    @property
    def heading(self) -> str:
        return f"{self.title} {'↑' if self.higher_is_better else '↓'}"


FIGURES = {
    "jaccard": Figure(title="Jaccard", digits=4, higher_is_better=True),
    "position_error": Figure(title="position error", digits=3),
    "nats_words": Figure(title="nats a word piece", digits=3),
    "nats_numbers": Figure(title="nats a number", digits=3),
    "nats_codes": Figure(title="nats a code", digits=3),
    "ssim": Figure(title="SSIM", digits=4, higher_is_better=True),
    "ssim_objects": Figure(title="SSIM around objects", digits=4, higher_is_better=True),
    "l2": Figure(title="L2", digits=5),
    "exact_match": Figure(title="exact match", digits=4, higher_is_better=True),
}


# Runs


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The section `cookbook`."""

    scenes: dict  # small, medium, large -> how many
    test_scenes: int
    test_questions: int
    test_pictures: int
    min_objects: int
    max_objects: int
    questions: int  # about each scene
    seed: int  # of the data; each set has its own
    workers: int = 1  # processes that make pictures

    def __post_init__(self) -> None:
        if set(self.scenes) != {"small", "medium", "large"}:
            raise ConfigError(f"cookbook.scenes has {', '.join(self.scenes)}; it has small, medium and large.")
        if max(self.scenes.values()) != self.scenes["large"]:
            raise ConfigError(f"cookbook.scenes is {self.scenes}; large must be the largest, the others begin it.")


class Cookbook:
    """Data, processors and finished runs below one folder."""

    def __init__(self, work: Path, image_tokenizer: Path, cfg: DictConfig) -> None:
        self.work = work
        self.image_folder = image_tokenizer
        self.image = ImageTokenizer.from_pretrained(image_tokenizer)
        sections: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
        self.budget = from_section(Budget, sections.pop("cookbook"), prefix="cookbook.")
        self.recipe = sections
        self.path = work / "runs.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        self.runs = {run["key"]: run for run in map(json.loads, lines)}

    def settings(self, arm: Arm, seed: int) -> dict[str, Any]:
        """All that a run's figures depend on, but for the code."""
        budget = {name: value for name, value in asdict(self.budget).items() if name != "workers"}
        about = {"arm": asdict(arm), "seed": seed, "recipe": self.recipe, "budget": budget}
        return {**about, "image_tokenizer": self.image.sha256}

    def key(self, arm: Arm, seed: int) -> str:
        return hashlib.sha256(json.dumps(self.settings(arm, seed), sort_keys=True).encode()).hexdigest()[:16]

    def found(self, arm: Arm, seed: int) -> dict[str, Any] | None:
        """The line of a finished run."""
        return self.runs.get(self.key(arm, seed))

    def run(self, arm: Arm, seed: int) -> dict[str, Any]:
        """Trains, measures, and keeps the line; what others start from is trained before, and its weights are kept."""
        start = None if arm.tuning == "scratch" else self._start(seed)
        codes, test, processor = self.codes(arm.data), self.codes("test"), self.processor(arm)
        out = self.work / "runs" / self.key(arm, seed)
        shutil.rmtree(out, ignore_errors=True)
        began = time.monotonic()
        recipe = self._train(arm, seed, codes=codes, processor=processor, start=start, out=out)
        trained = time.monotonic()
        folder = out / (out / "latest").read_text().strip() / "model"
        figures = self._measure(arm, recipe.model, Kyvo.from_pretrained(folder, device="cpu"), test)
        if arm != START:
            shutil.rmtree(out)
        line = {
            "key": self.key(arm, seed),
            **self.settings(arm, seed),
            "figures": figures,
            "seconds": {"training": trained - began, "measuring": time.monotonic() - trained},
            "commit": checkout_commit(ROOT),
            "cpu": f"{cpu_name()}, {os.cpu_count()} cores",
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.runs[line["key"]] = line
        return line

    def _start(self, seed: int) -> Path:
        folder = self.work / "runs" / self.key(START, seed)
        if self.found(START, seed) is None or not (folder / "latest").is_file():
            self.run(START, seed)
        return folder

    def _train(
        self, arm: Arm, seed: int, *, codes: Path, processor: Path, start: Path | None, out: Path
    ) -> FinetuneRecipe:
        changes = {
            "output_dir": str(out),
            "processor": str(processor),
            "model": {"numbers": arm.numbers, "projector": arm.projector},
            "peft": {"method": "lora" if arm.tuning == "lora" else "full"},
            "data": {"folders": [str(codes)], "tasks": {arm.task: 1.0}},
            "train": {"seed": seed, "start": None if start is None else str(start)},
        }
        cfg = OmegaConf.merge(self.recipe, changes)
        recipe = FinetuneRecipe(cfg)  # type: ignore[arg-type]
        recipe.setup(cfg)  # type: ignore[arg-type]
        recipe.samples.builder.heavy_weight = arm.heavy_weight  # a property of the training, which no processor has
        recipe.train()
        recipe.cleanup()
        return recipe

    def _measure(self, arm: Arm, model: KyvoDecoder, kyvo: Kyvo, test: Path) -> dict[str, float]:
        builder, budget = kyvo.processor.builder, self.budget
        samples = CodedScenes(builder, folders=[str(test)], tasks={arm.task: 1.0})
        batches = held_out(
            samples, batch_size=32, num_batches=len(samples), num_examples=0, pad_id=builder.text.pad_id, seed=0
        )[arm.task].batches
        ids = builder.vocabulary.ranges
        match TASKS[arm.task].outputs:
            case (Segment.SCENE,):
                # As a density over the floor, so that a step's width is in it and granularities can be compared.
                width = float(np.log(arm.granularity / Arm.granularity))
                nats = {
                    "nats_words": nats_each(model, batches, ids["text"]),
                    "nats_numbers": nats_each(model, batches, ids["number"]) + width,
                }
                return nats | score_scenes(kyvo, arm.task, _examples(samples, len(samples), 1))
            case (Segment.TEXT,):
                examples = _examples(samples, budget.test_questions, budget.questions)
                return {"nats_words": nats_each(model, batches, ids["text"])} | score_texts(kyvo, arm.task, examples)
            case _:
                examples = _examples(samples, budget.test_pictures, 1)
                pictures = open_set(self.pictures("test")).select(range(len(examples)))["image"]
                truths = [np.asarray(picture.convert("RGB")) for picture in pictures]
                nats = {"nats_codes": nats_each(model, batches, ids["image"])}
                return nats | score_pictures(kyvo, arm.task, examples, truths)

    # Data and processors

    def pictures(self, name: str) -> Path:
        """The set "large", "single" or "test", made where it is not there."""
        budget, config = self.budget, self.image.config
        num_objects = (1, 1) if name == "single" else (budget.min_objects, budget.max_objects)
        settings = {
            "count": budget.test_scenes if name == "test" else budget.scenes["large"],
            "seed": budget.seed + 1_000_000 * ("large", "single", "test").index(name),
            "width": config.width,
            "height": config.height,
            "rules": ClevrRules(min_objects=num_objects[0], max_objects=num_objects[1]),
        }
        made = ClevrSet(**settings) if name == "single" else QuestionSet(**settings, questions=budget.questions)
        out = self.work / "pictures" / f"{name}_{_digest(made.to_dict())}"
        if not (out / "card.json").is_file():
            print(f"{out}: {made.count} pictures are made", file=sys.stderr)
            write_set(out, made, workers=budget.workers)
        return out

    def codes(self, name: str) -> Path:
        """A set coded by the image tokenizer, and "small" and "medium", the beginnings of "large"."""
        if name in ("small", "medium"):
            whole = self.codes("large")
            out = whole.with_name(f"{whole.name}_{self.budget.scenes[name]}")
            if not out.is_dir():
                rows = load_from_disk(str(whole)).select(range(self.budget.scenes[name]))
                partial = out.with_suffix(".part")
                rows.save_to_disk(partial)
                shutil.copy(whole / "card.json", partial)
                partial.rename(out)
            return out
        pictures = self.pictures(name)
        out = self.work / "codes" / f"{pictures.name}_{self.image.sha256[:8]}"
        if not out.is_dir():
            partial = out.with_suffix(".part")
            shutil.rmtree(partial, ignore_errors=True)
            encode = runpy.run_path(str(ROOT / "tokenizers" / "encode.py"))["main"]
            encode(["--data", str(pictures), "--image-tokenizer", str(self.image_folder), "--out", str(partial)])
            partial.rename(out)
        return out

    def processor(self, arm: Arm) -> Path:
        """The folder with the vocabulary and the order of output codes of an arm."""
        order = "center" if arm.center_first else "rows"
        out = self.work / "processors" / f"{arm.granularity:g}_{order}_{self.image.sha256[:8]}"
        if not out.is_dir():
            schema = clevr_schema(arm.granularity)
            vocabulary = Vocabulary.for_schema(
                schema, num_text=self._text.size, num_image_codes=self.image.config.n_embed
            )
            partial = out.with_suffix(".part")
            Processor(
                vocabulary=vocabulary,
                schema=schema,
                text=self._text,
                image=self.image,
                center_first=arm.center_first,
                two_way=(),  # as in the paper
            ).save(partial)
            partial.rename(out)
        return out

    @cached_property
    def _text(self) -> Any:
        return load_text(MINI / "tokenizer.model")


Example = tuple[Segments, Segments]  # given and wanted


def _examples(samples: CodedScenes, count: int, questions: int) -> list[Example]:
    """Scene after scene, then again with another of their questions."""
    places = (divmod(number, len(samples)) for number in range(min(count, len(samples) * questions)))
    return [samples.segments(index, 0.0, (turn + 0.5) / questions)[1:] for turn, index in places]


def nats_each(model: KyvoDecoder, batches: Iterable[Batch], ids: range) -> float:
    """Cross-entropy of the labels among `ids` with the true tokens before each, nats a label."""

    def loss_of(batch: Batch) -> Tensor:
        hidden = model.hidden(batch.ids, places=batch.places, mask=batch.attention(), input_pos=batch.input_pos)
        return labelled_loss(hidden, model.output.table(), batch.positions, batch.targets, batch.weights)

    model.eval()
    chosen = [
        replace(batch, weights=((batch.targets >= ids.start) & (batch.targets < ids.stop)).float()) for batch in batches
    ]
    loss, count = held_out_loss(chosen, loss_of, device=torch.device("cpu"))
    return (loss / count).item()


def score_scenes(kyvo: Kyvo, task: str, examples: Sequence[Example]) -> dict[str, float]:
    """Truths are compared as they are, not rounded to the arm's numbers. Empty scenes have no position error."""
    found = kyvo.complete(task, [given for given, _ in examples])
    scores = mean_jaccard([one.scene for one in found], [wanted.scene for _, wanted in examples], criterion=CLEVR)  # type: ignore[misc]
    position_error = {} if scores.position_error is None else {"position_error": scores.position_error}
    return {
        "jaccard": scores.jaccard,
        **position_error,
        "count_accuracy": scores.count_accuracy,
        **{f"jaccard_{tau:g}": value for tau, value in scores.jaccard_by_tau.items()},
    }


def score_texts(kyvo: Kyvo, task: str, examples: Sequence[Example]) -> dict[str, float]:
    found = kyvo.complete(task, [given for given, _ in examples])
    truths = [TrueAnswer(text=wanted.text or "") for _, wanted in examples]
    scores = score_answers([one.text for one in found], truths)["all"]["all"]
    return {"exact_match": scores.exact_match, "most_frequent": scores.most_frequent}


def score_pictures(
    kyvo: Kyvo, task: str, examples: Sequence[Example], truths: Sequence[np.ndarray]
) -> dict[str, float]:
    """Against the pictures themselves, not what the tokenizer makes of them: what it loses is in the figures."""
    found = [one.image for one in kyvo.complete(task, [given for given, _ in examples])]
    pairs = list(zip(found, truths, strict=True))
    around = []
    for (given, _), (ours, true) in zip(examples, pairs, strict=True):
        assert given.scene is not None and given.scene.camera is not None
        around += [
            ssim(square.cut(ours), square.cut(true)) for square in object_squares(given.scene, given.scene.camera)
        ]
    return {
        "ssim": mean(ssim(ours, true) for ours, true in pairs),
        "ssim_objects": mean(around),
        "l2": mean(l2(ours, true) for ours, true in pairs),
    }


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


# Tables and plots

Found = Mapping[Arm, Sequence[Mapping[str, Any]]]  # the finished runs of each arm


def table(ablation: Ablation, found: Found) -> str:
    """Mean over the seeds, and from the lowest to the highest."""
    columns = [(column, name) for column in ablation.columns for name in ablation.figures[column]]
    one_column = len(ablation.columns) == 1
    heads = [FIGURES[name].heading if one_column else f"{column}: {FIGURES[name].heading}" for column, name in columns]
    lines = [_line([ablation.rows_are, *heads]), _line(["---", *["---:"] * len(heads)])]
    for row in ablation.rows:
        cells = (_cell(found.get(ablation.arm(row, column), ()), name) for column, name in columns)
        lines.append(_line([row, *cells]))
    runs = [run for arm in ablation.arms for run in found.get(arm, ())]
    return "\n".join(lines) + ("\n\n" + _note(runs) if runs else "")


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    if not runs:
        return "not run"
    digits = FIGURES[name].digits
    values = _values(runs, name)
    if not values:
        return "none"
    text = f"{mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _values(runs: Iterable[Mapping[str, Any]], name: str) -> list[float]:
    return [run["figures"][name] for run in runs if name in run["figures"]]


def _note(runs: Sequence[Mapping[str, Any]]) -> str:
    """What the table was made with."""
    seeds = sorted({run["seed"] for run in runs})
    seconds = [sum(run["seconds"].values()) for run in runs]
    train = runs[0]["recipe"]["train"]
    scenes = ", ".join(f"{count:,}" for count in runs[0]["budget"]["scenes"].values())
    commits = ", ".join(sorted({str(run["commit"])[:8] for run in runs}))
    note = (
        f"Seeds {', '.join(map(str, seeds))}: mean (lowest to highest). {train['max_steps']} steps of "
        f"{train['batch_size']}, {mean(seconds):.0f} s a run; sets of {scenes} scenes; image tokenizer "
        f"{runs[0]['image_tokenizer'][:8]}; commit {commits}; {', '.join(sorted({run['cpu'] for run in runs}))}."
    )
    guesses = sorted(set(_values(runs, "most_frequent")))
    return note + "".join(f" Always the most frequent answer of a question's type: {value:.4f}." for value in guesses)


def plot(ablation: Ablation, found: Found, path: Path) -> None:
    """A panel a figure: each seed a dot, their mean a line across."""
    from matplotlib.figure import Figure as Drawing  # a second to import; and pyplot would look for a display

    panels = [(column, name) for column in ablation.columns for name in ablation.figures[column]]
    across = max(len(names) for names in ablation.figures.values())
    down = len(ablation.columns)
    drawing = Drawing(figsize=(2.6 * across, 2.3 * down), layout="constrained")
    for column, name in panels:
        place = list(ablation.columns).index(column) * across + ablation.figures[column].index(name)
        axes = drawing.add_subplot(down, across, place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        for x, row in enumerate(ablation.rows):
            values = _values(found.get(ablation.arm(row, column), ()), name)
            if values:
                axes.plot([x] * len(values), values, "o", color=f"C{x}", markersize=4, alpha=0.7)
                axes.plot([x - 0.25, x + 0.25], [mean(values)] * 2, color=f"C{x}", linewidth=2)
        axes.set_xticks(range(len(ablation.rows)), [row.replace(", ", ",\n") for row in ablation.rows], fontsize=7)
        axes.set_xlim(-0.6, len(ablation.rows) - 0.4)
        axes.tick_params(axis="y", labelsize=7)
        axes.set_title(FIGURES[name].heading if down == 1 else f"{column}: {FIGURES[name].heading}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=110)


def write_into(path: Path, blocks: Mapping[str, str]) -> None:
    """Puts each block between `<!-- cookbook NAME -->` and `<!-- end NAME -->`.

    Raises ConfigError where these are not.
    """
    text = path.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- cookbook {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ConfigError(f"{path} has no place for {name}: the lines {begin.strip()} and {end}. Put them in.")
        text = f"{before}{begin}{block}\n{end}{after}"
    path.write_text(text, encoding="utf-8")


def main(argv: list[str] | None = None) -> dict[str, str]:
    """Makes the runs that are missing; returns and prints the tables by ablation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and finished runs")
    parser.add_argument("--only", nargs="+", choices=list(ABLATIONS), metavar="NAME", help=", ".join(ABLATIONS))
    parser.add_argument("--seeds", type=int, default=2, help="runs of each arm")
    parser.add_argument("--steps", type=int, help="of each run, in place of the config's train.max_steps")
    parser.add_argument("--image-tokenizer", type=Path, default=MINI, help="a folder with image_tokenizer.safetensors")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "cookbook.yaml")
    parser.add_argument("--tables", action="store_true", help="make no runs; tables of those there are")
    parser.add_argument("--write", type=Path, help="a Markdown file with markers, such as docs/cookbook.md")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the config: train.batch_size=8")
    args = parser.parse_intermixed_args(argv)
    if args.seeds < 1:
        parser.error(f"--seeds is {args.seeds}; at least 1 is needed.")

    steps = [] if args.steps is None else [f"train.max_steps={args.steps}"]
    cfg = OmegaConf.merge(OmegaConf.load(args.config), OmegaConf.from_dotlist([*args.overrides, *steps]))
    cookbook = Cookbook(args.work, args.image_tokenizer, cfg)  # type: ignore[arg-type]
    chosen = {name: ABLATIONS[name] for name in args.only or ABLATIONS}
    arms = list(dict.fromkeys(arm for ablation in chosen.values() for arm in ablation.arms))
    if not args.tables:
        make_runs(cookbook, arms, range(args.seeds))

    found = {arm: [run for seed in range(args.seeds) if (run := cookbook.found(arm, seed))] for arm in arms}
    tables = {name: table(ablation, found) for name, ablation in chosen.items()}
    for name, text in tables.items():
        print(f"## {ABLATIONS[name].title}\n\n{text}\n")
    if args.write:
        for name, ablation in chosen.items():
            plot(ablation, found, args.write.parent / "images" / f"cookbook_{name}.png")
        blocks = {
            name: f"{text}\n\n![{ABLATIONS[name].title}](images/cookbook_{name}.png)" for name, text in tables.items()
        }
        write_into(args.write, blocks)
    return tables


def make_runs(cookbook: Cookbook, arms: Sequence[Arm], seeds: Iterable[int]) -> None:
    """Those that are not there yet."""
    cookbook.work.mkdir(parents=True, exist_ok=True)
    missing = [(arm, seed) for seed in seeds for arm in arms if cookbook.found(arm, seed) is None]
    for number, (arm, seed) in enumerate(missing, 1):
        line = cookbook.run(arm, seed)
        figures = ", ".join(f"{name} {line['figures'][name]:.4g}" for name in FIGURES if name in line["figures"])
        seconds = sum(line["seconds"].values())
        print(f"[{number}/{len(missing)}] {arm}, seed {seed}: {figures}; {seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KyvoError as error:
        sys.exit(f"cookbook: {error}")
