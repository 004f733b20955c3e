"""What the paper's ablations compare: a run's changes, the tables they stand in, and the figures of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyvo.tokenizers.tasks import TASKS, Segment, Task
from kyvo.training.data import COLUMNS

# Input the other way round, as a task of its own.
SCENE_FIRST = Task(
    name="question_answering_scene_first",
    inputs=(Segment.SCENE, Segment.IMAGE, Segment.TEXT),
    outputs=(Segment.TEXT,),
)
TASKS[SCENE_FIRST.name] = SCENE_FIRST
COLUMNS[SCENE_FIRST.name] = COLUMNS["question_answering"]


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
