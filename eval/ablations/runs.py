"""Runs below one folder: data and processors where they are missing, training, measuring, the line that stays."""

import hashlib
import json
import os
import runpy
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_from_disk
from kyvo.recipes.finetune import FinetuneRecipe
from omegaconf import DictConfig, OmegaConf

from ablations.arms import START, Arm
from ablations.scores import examples_of, nats_each, score_pictures, score_scenes, score_texts
from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import ClevrRules
from kyvo.data.configs import from_section
from kyvo.data.dataset import open_set, write_set
from kyvo.data.generators import ClevrSet, QuestionSet
from kyvo.errors import ConfigError
from kyvo.evaluation.provenance import checkout_commit, cpu_name
from kyvo.files import append_line, copy_file, replacing_folder
from kyvo.processor import Processor
from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.tasks import TASKS, Segment
from kyvo.tokenizers.text import load_text
from kyvo.tokenizers.vocabulary import Vocabulary
from kyvo.training.data import TokenizedScenes
from kyvo.training.evaluation import held_out
from kyvo.training.model import KyvoDecoder

ROOT = Path(__file__).resolve().parents[2]
MINI = Path(str(files("kyvo"))) / "assets" / "mini"


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
        init_weights = None if arm.tuning == "scratch" else self._init_weights(seed)
        codes, test, processor = self.codes(arm.data), self.codes("test"), self.processor(arm)
        out = self.work / "runs" / self.key(arm, seed)
        shutil.rmtree(out, ignore_errors=True)
        began = time.monotonic()
        recipe = self._train(arm, seed, codes=codes, processor=processor, init_weights=init_weights, out=out)
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
        append_line(self.path, line)
        self.runs[line["key"]] = line
        return line

    def _init_weights(self, seed: int) -> Path:
        folder = self.work / "runs" / self.key(START, seed)
        if self.found(START, seed) is None or not (folder / "latest").is_file():
            self.run(START, seed)
        return folder

    def _train(
        self, arm: Arm, seed: int, *, codes: Path, processor: Path, init_weights: Path | None, out: Path
    ) -> FinetuneRecipe:
        changes = {
            "output_dir": str(out),
            "processor": str(processor),
            "model": {"numbers": arm.numbers, "projector": arm.projector},
            "peft": {"method": "lora" if arm.tuning == "lora" else "full"},
            "data": {"folders": [str(codes)], "tasks": {arm.task: 1.0}},
            "train": {"seed": seed, "init_weights": None if init_weights is None else str(init_weights)},
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
        samples = TokenizedScenes(builder, folders=[str(test)], tasks={arm.task: 1.0})
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
                return nats | score_scenes(kyvo, arm.task, examples_of(samples, len(samples), 1))
            case (Segment.TEXT,):
                examples = examples_of(samples, budget.test_questions, budget.questions)
                return {"nats_words": nats_each(model, batches, ids["text"])} | score_texts(kyvo, arm.task, examples)
            case _:
                examples = examples_of(samples, budget.test_pictures, 1)
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
                with replacing_folder(out) as draft:
                    rows.save_to_disk(draft)
                    copy_file(whole / "card.json", draft / "card.json")
            return out
        pictures = self.pictures(name)
        out = self.work / "codes" / f"{pictures.name}_{self.image.sha256[:8]}"
        if not out.is_dir():
            encode = runpy.run_path(str(ROOT / "tokenizers" / "encode.py"))["main"]
            encode(["--data", str(pictures), "--image-tokenizer", str(self.image_folder), "--out", str(out)])
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
            processor = Processor(
                vocabulary=vocabulary,
                schema=schema,
                text=self._text,
                image=self.image,
                center_first=arm.center_first,
                two_way=(),  # as in the paper
            )
            with replacing_folder(out) as draft:
                processor.save(draft)
        return out

    @cached_property
    def _text(self) -> Any:
        return load_text(MINI / "tokenizer.model")


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
