"""Generators of sets: what a row of each kind holds, and how it is sampled and rendered.

| kind      | a row                                                                  |
|-----------|------------------------------------------------------------------------|
| clevr     | a picture and its scene                                                |
| edits     | a picture and its scene, an instruction, the picture and scene after it |
| questions | a picture and its scene, some questions with programs and answers      |
| objaworld | a picture of meshes and its scene                                      |
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from kyvo.data.clevr.sampling import ClevrRules, render_scenes, sample_scenes
from kyvo.data.dataset import SetSettings, SkippedItem, picture_cell, scene_cell
from kyvo.data.language.edits import Edit, sample_edits
from kyvo.data.language.question_phrases import TemplateSet, own_templates
from kyvo.data.language.questions import Balance, Question, baselines, sample_questions
from kyvo.devices import choose_device
from kyvo.errors import ConfigError, SceneError
from kyvo.extras import extra
from kyvo.scene.scene import Scene

with extra("data"):
    from datasets import Dataset, Features, Image, List, Value

PICTURE = {"image": Image(), "scene": Value("string"), "name": Value("string")}
PICTURE_COLUMNS = {"image": "PNG, RGB", "scene": "Kyvo scene JSON", "name": "file name of the picture"}


@dataclass(frozen=True, kw_only=True)
class RayTraced(SetSettings):
    """What sets of ray-traced CLEVR scenes have in common."""

    seed: int
    width: int  # px
    height: int
    renderer: str = "raytracer"  # of RENDERERS
    device: str = "cpu"  # that the ray tracer runs on
    samples: int | None = None  # rays or paths a pixel, as in `render_scenes`
    pictures: bool = True  # False: scenes alone, for what needs no picture; making them takes no time beside rendering
    rules: ClevrRules = field(default_factory=ClevrRules)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "device", choose_device(self.device))

    @property
    def left_out(self) -> frozenset[str]:
        pictures = (name for name, feature in self.features.items() if isinstance(feature, Image))
        return frozenset() if self.pictures else frozenset(pictures)

    def draw(self, indices: Sequence[int], *, attempt: int = 0) -> list[Scene]:
        """The scenes of some rows; another attempt draws others."""
        seed = self.seed + (attempt << 40)
        return sample_scenes(indices, seed=seed, width=self.width, height=self.height, rules=self.rules)

    def render(self, scenes: Sequence[Scene]) -> np.ndarray:
        if not self.pictures:
            return np.zeros((len(scenes), 1, 1, 3), dtype=np.uint8)  # left out of the rows
        return render_scenes(
            scenes,
            width=self.width,
            height=self.height,
            samples=self.samples,
            renderer=self.renderer,
            device=self.device,
        )

    def name(self, index: int, part: str = "") -> str:
        return f"clevr_{self.seed}_{index:06d}{part}.png"

    def about(self) -> str:
        rules = "\n".join(f"- {name}: {_listed(value)}" for name, value in asdict(self.rules).items())
        return (
            f"Pictures have {self.width}x{self.height} px. Scenes are drawn under CLEVR v1.0's rules\n"
            f"(https://arxiv.org/abs/1612.06890) and rendered by `kyvo.data.{self.renderer}`.\n"
            f"Each row is set by the seed, {self.seed}, and its number alone.\n\n{rules}"
        )


@dataclass(frozen=True, kw_only=True)
class ClevrSet(RayTraced):
    """Pictures with their scenes."""

    kind: ClassVar[str] = "clevr"
    what: ClassVar[str] = "Ray-traced CLEVR scenes with their pictures"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS
    features: ClassVar[Features] = Features(PICTURE)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        scenes = self.draw(indices)
        for index, scene, picture in zip(indices, scenes, self.render(scenes), strict=True):
            name = self.name(index)
            yield {"image": picture_cell(picture, name), "scene": scene_cell(scene), "name": name}


@dataclass(frozen=True, kw_only=True)
class EditSet(RayTraced):
    """Pictures with their scenes, before and after an instruction."""

    each: int = 1  # rows in a row that edit the same scene, where it allows as many

    kind: ClassVar[str] = "edits"
    what: ClassVar[str] = "Instructions that edit ray-traced CLEVR scenes"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS | {
        "instruction": "English text",
        "edit": "kind of the edit",
        "program": "JSON that `kyvo.data.language.edits.execute` applies to the scene",
        "target_image": "the picture after the edit",
        "target_scene": "the scene after the edit",
    }
    features: ClassVar[Features] = Features(
        PICTURE
        | {name: Value("string") for name in ("instruction", "edit", "program")}
        | {"target_image": Image(), "target_scene": Value("string")}
    )
    max_attempts: ClassVar[int] = 20  # scenes tried for a row; about one in fifteen has no edit of the kind drawn

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        edits = self._edits(indices)
        before, after = ([getattr(edit, side) for edit in edits] for side in ("source", "target"))
        for index, edit, source, target in zip(indices, edits, self.render(before), self.render(after), strict=True):
            name = self.name(index)
            yield {
                "image": picture_cell(source, name),
                "scene": scene_cell(edit.source),
                "name": name,
                "instruction": edit.instruction,
                "edit": edit.kind,
                "program": json.dumps(edit.program, separators=(",", ":")),
                "target_image": picture_cell(target, self.name(index, "_target")),
                "target_scene": scene_cell(edit.target),
            }

    def _edits(self, indices: Sequence[int]) -> list[Edit]:
        done: dict[int, Edit] = {}
        for attempt in range(self.max_attempts):
            waiting = [index for index in indices if index not in done]
            if not waiting:
                break
            scenes = self.draw([index // self.each for index in waiting], attempt=attempt)
            chances = [np.random.default_rng([self.seed, index, attempt]) for index in waiting]
            edits = sample_edits(scenes, chances, rules=self.rules)
            done |= {index: edit for index, edit in zip(waiting, edits, strict=True) if edit is not None}
        missing = [index for index in indices if index not in done]
        if missing:
            raise SceneError(
                f"no edit was found for row {missing[0]} in {self.max_attempts} scenes of {self.rules.min_objects} to "
                f"{self.rules.max_objects} objects; widen that range, so that objects can be added and removed."
            )
        return [done[index] for index in indices]


@dataclass(frozen=True, kw_only=True)
class QuestionSet(RayTraced):
    """Pictures with their scenes, and several questions about each. Answers are balanced within a batch of rows."""

    questions: int = 10  # a scene
    templates: str | None = None  # folder of CLEVR's template files, in place of our wordings
    families: str | None = None  # of questions, with commas between; all of them without it

    kind: ClassVar[str] = "questions"
    what: ClassVar[str] = "Questions about ray-traced CLEVR scenes"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS | {
        "questions": "a list of `question`, `answer`, `family` and `program` (JSON, as in CLEVR's question files)"
    }
    features: ClassVar[Features] = Features(
        PICTURE | {"questions": List({name: Value("string") for name in ("question", "answer", "family", "program")})}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _templates(self.templates, self.families)  # fails here rather than in each worker

    def figures(self, rows: Dataset, missing: Sequence[SkippedItem]) -> dict[str, Any]:
        """How often guessing is right: `kyvo.data.language.questions.baselines`."""
        asked = (question for row in rows["questions"] for question in row)
        return {
            "baselines": baselines(
                Question(
                    family=question["family"],
                    text=question["question"],
                    program=json.loads(question["program"]),
                    answer=question["answer"],
                )
                for question in asked
            )
        }

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        scenes, balance = self.draw(indices), Balance()
        for index, scene, picture in zip(indices, scenes, self.render(scenes), strict=True):
            rng = np.random.default_rng([self.seed, index, 2])
            drawn = sample_questions(
                scene, rng, count=self.questions, balance=balance, templates=_templates(self.templates, self.families)
            )
            name = self.name(index)
            yield {
                "image": picture_cell(picture, name),
                "scene": scene_cell(scene),
                "name": name,
                "questions": [
                    {
                        "question": question.text,
                        "answer": question.answer,
                        "family": question.family,
                        "program": json.dumps(question.program, separators=(",", ":")),
                    }
                    for question in drawn
                ],
            }


def _listed(value: float | str | Sequence[str]) -> str:
    """A rule as the card shows it."""
    if isinstance(value, int | float):
        return f"{value:g}"
    return value if isinstance(value, str) else ", ".join(value)


@cache
def _templates(folder: str | None, families: str | None) -> TemplateSet:
    if folder is None:
        found = own_templates()
    else:
        from kyvo.data.language.clevr_templates import read_clevr_templates  # needed by few

        found = read_clevr_templates(Path(folder))
    return found if families is None else found.only(families.split(","))


@dataclass(frozen=True, kw_only=True)
class ObjaWorldSet(SetSettings):
    """Pictures of meshes with their scenes: the procedural library, or a folder of assets."""

    seed: int
    width: int  # px
    height: int
    preset: str  # of PRESETS
    samples: int = 2  # rays a pixel, along each axis
    assets: str | None = None  # folder with assets.yaml
    assets_sha256: str = field(init=False, default="")  # of that folder's files, which the pictures depend on

    kind: ClassVar[str] = "objaworld"
    what: ClassVar[str] = "Scenes of meshes with their pictures"
    columns: ClassVar[dict[str, str]] = PICTURE_COLUMNS
    features: ClassVar[Features] = Features(PICTURE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset not in _presets():
            raise ConfigError(f"preset is {self.preset!r}; known are {', '.join(_presets())}.")
        if self.assets is not None:
            object.__setattr__(self, "assets_sha256", _folder_sha256(Path(self.assets)))

    @property
    def library(self) -> Any:
        """The assets, and the faults of those left out."""
        return _library(self.assets)

    def rows(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        from kyvo.data.meshes.objaworld import make_sample

        for index in indices:
            scene, picture = make_sample(
                index,
                seed=self.seed,
                library=self.library,
                rules=_presets()[self.preset],
                width=self.width,
                height=self.height,
                samples=self.samples,
            )
            name = f"{self.preset}_{self.seed}_{index:06d}.png"
            yield {"image": picture_cell(picture, name), "scene": scene_cell(scene), "name": name}

    def source_notes(self) -> list[str]:
        return [] if self.assets is None else [str(fault) for fault in self.library.faults]

    def about(self) -> str:
        source = f"assets in {Path(self.assets).name}" if self.assets else "the procedural library"
        rays = f"{self.samples}x{self.samples}"
        return (
            f"Pictures have {self.width}x{self.height} px. Scenes of the preset `{self.preset}` hold meshes of\n"
            f"{source}, ray-cast with {rays} rays a pixel.\n"
            f"Each row is set by the seed, {self.seed}, and its number alone."
        )


@cache
def _presets() -> dict[str, Any]:
    from kyvo.data.meshes.objaworld import LIVING_ROOM, PARK, STILL_LIFE  # meshes load slowly, and few sets have any

    return {"park": PARK, "living_room": LIVING_ROOM, "still_life": STILL_LIFE}


@cache
def _library(folder: str | None) -> Any:
    """Loaded once a process."""
    if folder is None:
        from kyvo.data.meshes.procedural import procedural_library

        return procedural_library()
    from kyvo.data.meshes.assets import load_library

    return load_library(Path(folder))


def _folder_sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
