"""`TokenizedScenes`: coded sets as samples of a mixture of tasks, each a token sequence."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.data.clevr.augment import SEEN
from kyvo.data.dataset import open_set
from kyvo.data.language.edits import edited_object
from kyvo.data.language.question_programs import SceneIndex, asked_about
from kyvo.errors import ConfigError, KyvoError, TokenError
from kyvo.extras import extra
from kyvo.programs.json_form import from_json
from kyvo.programs.program import Program
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene
from kyvo.tokenizers.scene import ALL_PARTS, OptionalParts
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.sequence import SequenceBuilder, share_prefix
from kyvo.tokenizers.tasks import REFUSED, TASKS, Refused, Segments
from kyvo.training.allowed import AllowedWalk
from kyvo.training.auxiliary_heads import grounding_targets, object_rows
from kyvo.training.batch import next_grid_positions

with extra("train"):
    from datasets import load_from_disk
    from pyarrow import ArrowInvalid

PROGRAMS = {"program": "instruction", "questions.program": "questions."}  # column -> that of the text it stands for
REACH = 1.25  # cells from an object's centre that count as showing it


# task -> the column of each input, and of each output; in `questions` some of a row's questions are taken. Where a row
# has its picture as another camera took it, that one goes in.
COLUMNS = {
    "rendering": ({"scene": "scene"}, {"image": "codes"}),
    "recognition": ({"image": "codes"}, {"scene": "scene"}),
    "editing": (
        {"image": "codes", "scene": "scene", "text": "instruction"},
        {"image": "target_codes", "scene": "target_scene"},
    ),
    "question_answering": (
        {"image": "codes", "scene": "scene", "text": "questions.question"},
        {"text": "questions.answer"},
    ),
    "scene_editing": ({"scene": "scene", "text": "instruction"}, {"scene": "target_scene"}),
    "scene_question_answering": ({"scene": "scene", "text": "questions.question"}, {"text": "questions.answer"}),
    "parsing": ({"dialogue": "dialogue", "text": "text"}, {"program": "asked_program"}),  # of `kyvo data language`
}


class TokenizedScenes:
    """Coded sets as samples of a mixture of tasks.

    A set serves the tasks whose COLUMNS it has. Scenes are scene JSON, codes those of `tokenizers/encode.py`.
    """

    def __init__(
        self,
        builder: SequenceBuilder,
        *,
        folders: list[str],
        tasks: Mapping[str, float],
        weights: Mapping[str, float] | None = None,
        shares: list[float] | None = None,
        questions: int = 1,
        edits: int = 1,
        object_weight: float = 1.0,
        change_weight: float = 1.0,
        cameras: float = 0.6,
        turns: float = 0.8,
        objects: bool = False,
        allowed: bool = False,
    ) -> None:
        """Raises ConfigError for an unknown task or one that no folder serves, and a folder that is no such set or
        serves no task.

        Args:
            builder: makes the sequences.
            folders: Arrow sets, joined.
            tasks: task name -> share of the samples, among those its set serves; need not add up to 1.
            weights: task name -> what its labels' loss weights are multiplied by; 1 where it is not named.
            shares: of the samples, that each folder gives; without them as many as it has. The largest folder for its
                share is seen once an epoch, rows of the others over and over.
            questions: of a row, that share one sample (`share_prefix`); at most as many as it has.
            edits: rows beside one another that share one sample where they edit the same scene
                (`kyvo data edits --each`).
            object_weight: what the loss weights of an output picture's codes that show an object are multiplied by.
            change_weight: the same of an edited scene's ids that do not go on as the scene before does.
            cameras: share of the samples whose scenes have their camera, of a schema with one (`OptionalParts`);
                of those, a model learns both to write it and to go on from it.
            turns: likewise, of the turns and other optional fields of its objects.
            allowed: say of each label which ids it is one of, and leave out labels that nothing else could be.
            objects: say of each sequence with a picture where its objects stand, as far as the scene has a camera, and
                of one with a question or an instruction which objects it is about, as far as the set has programs.
        """
        for setting, number in (("questions", questions), ("edits", edits)):
            if number < 1:
                raise ConfigError(f"data.{setting} is {number}; a sample has at least 1.")
        self.builder = builder
        self.questions = questions
        self.edits = edits
        self.object_weight = object_weight
        self.change_weight = change_weight
        for setting, share in (("cameras", cameras), ("turns", turns)):
            if not 0 <= share <= 1:
                raise ConfigError(f"data.{setting} is {share}; a share is from 0 to 1.")
        self.cameras = cameras
        self.turns = turns
        schema = builder.scenes.schema
        self.walk = AllowedWalk(builder) if allowed else None
        self.has_forms = bool(schema.camera) or any(field.of for field in schema.fields)
        self.objects = objects
        self.weights = dict(weights or {})
        for setting, names in (("tasks", tasks), ("weights", self.weights)):
            if unknown := set(names) - set(COLUMNS):
                raise ConfigError(f"data.{setting} has {min(unknown)!r}; known tasks are {', '.join(COLUMNS)}.")
        for name, share in tasks.items():
            if not 0 <= share < math.inf:
                raise ConfigError(f"data.tasks.{name} is {share}; a share is a number from 0.")
        tasks = {name: share for name, share in tasks.items() if share}
        if not tasks:
            raise ConfigError(f"data.tasks has no task with a share above 0; known tasks are {', '.join(COLUMNS)}.")
        if not folders or isinstance(folders, str):
            raise ConfigError(f"data.folders is {folders!r}; a list of folders is needed, as [sets/a].")
        self.folders = list(folders)
        self.sets = [_open(folder) for folder in folders]
        self.ends = np.cumsum(_numbers([len(rows) for rows in self.sets], shares))
        self.tasks: list[list[str]] = []
        self.limits: list[np.ndarray] = []  # of each set's tasks in [0, 1)
        for folder, rows in zip(folders, self.sets, strict=True):
            served = [name for name in tasks if _needed(name) <= set(rows.column_names)]
            if not served:
                needed = sorted(set.union(*(_needed(name) for name in tasks)))
                raise ConfigError(
                    f"{folder} has the columns {', '.join(rows.column_names)}; {', '.join(tasks)} take "
                    f"{', '.join(needed)}. tokenizers/encode.py writes them."
                )
            parts = np.array([tasks[name] for name in served], dtype=float)
            self.tasks.append(served)
            self.limits.append(np.cumsum(parts) / parts.sum())
        for task in tasks:
            if not any(task in served for served in self.tasks):
                raise ConfigError(
                    f"data.tasks has {task}, which takes the columns {', '.join(sorted(_needed(task)))}; none of "
                    f"{', '.join(map(str, folders))} has them all. Leave the task out, or add a folder that serves it."
                )

    def __len__(self) -> int:
        return int(self.ends[-1])

    def sequences(self, indices: Sequence[int], rng: np.random.Generator) -> list[TokenSequence]:
        """The sequences of some samples, each in a task drawn from `rng`."""
        draws = rng.random((len(indices), 2))
        optionals = [ALL_PARTS] * len(indices)
        if self.has_forms:
            kept = rng.random((len(indices), 2)) < (self.cameras, self.turns)
            optionals = [OptionalParts(camera=bool(camera), turns=bool(turns)) for camera, turns in kept]
        return [
            self._sequence(index, which_task, which_question, optional)
            for index, (which_task, which_question), optional in zip(indices, draws, optionals, strict=True)
        ]

    def segments(self, index: int, which_task: float, which_question: float) -> tuple[str, Segments, Segments]:
        """A sample as its task, what goes in and what is to come out. The two draws are in [0, 1)."""
        task, rows = self._rows(index, which_task, which_question, questions=1, edits=1)
        return task, *_sides(task, rows[0])

    def only(self, task: str) -> "TokenizedScenes":
        """The sets that serve a task, for that task alone."""
        folders = [folder for folder, served in zip(self.folders, self.tasks, strict=True) if task in served]
        return TokenizedScenes(
            self.builder,
            folders=folders,
            tasks={task: 1.0},
            cameras=self.cameras,
            turns=self.turns,
            allowed=self.walk is not None,
        )

    def describe(self, index: int) -> str:
        """Where a sample stands: its folder and row."""
        number, place = self._find(index)
        return f"{self.folders[number]}, row {place}"

    def _find(self, index: int) -> tuple[int, int]:
        number = int(np.searchsorted(self.ends, index, side="right"))
        start = self.ends[number - 1] if number else 0
        return number, int(index - start) % len(self.sets[number])

    def _rows(
        self, index: int, which_task: float, which_question: float, *, questions: int, edits: int
    ) -> tuple[str, list[dict[str, Any]]]:
        """The task of a row, and the row: of a task that asks, once for each of so many of its questions, of one that
        edits, with so many beside it on the same scene."""
        number, place = self._find(index)
        task = self.tasks[number][int(np.searchsorted(self.limits[number], which_task, side="right"))]
        rows = [self.sets[number][place]]
        if _reads(task, "questions."):
            rows = _asked(rows[0], which_question, questions)
        elif edits > 1 and _reads(task, "instruction"):
            first = place - place % edits
            beside = self.sets[number].select(range(first, min(first + edits, len(self.sets[number]))))
            rows = [row for row in beside if row["scene"] == rows[0]["scene"]]
        return task, rows

    def _sequence(self, index: int, which_task: float, which_question: float, optional: OptionalParts) -> TokenSequence:
        try:
            task, rows = self._rows(index, which_task, which_question, questions=self.questions, edits=self.edits)
            built = [self._built(task, *_sides(task, row), optional) for row in rows]
            sequence = share_prefix(built) if len(built) > 1 else built[0]
            if self.objects:
                sequence = replace(sequence, asked=self._asked_objects(task, rows))
            return replace(sequence, weights=sequence.weights * np.float32(self.weights.get(task, 1.0)))
        except (KyvoError, json.JSONDecodeError) as error:
            raise TokenError(f"{self.describe(index)}: {error}") from error

    def _asked_objects(self, task: str, rows: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
        """What the rows' texts are about; None where they do not say it as programs."""
        column = next((name for name in PROGRAMS if name in rows[0] and _reads(task, PROGRAMS[name])), None)
        if column is None:
            return None
        scene = _scene(rows[0]["scene"])
        programs = [json.loads(row[column]) for row in rows]
        if column == "program":
            sets = [1 << edited_object(program, scene) for program in programs]
        else:
            index = SceneIndex(scene)
            sets = [asked_about(program, index) for program in programs]
        return grounding_targets(scene, self.builder.scenes.schema, sets)

    def _built(self, task: str, given: Segments, wanted: Segments, optional: OptionalParts) -> TokenSequence:
        """The sequence, with what its pictures show as far as that is asked for and known."""
        scene = wanted.scene or given.scene
        if scene is not None and self.has_forms:
            has = OptionalParts.of(scene, self.builder.scenes.schema)
            optional = OptionalParts(camera=bool(optional.camera and has.camera), turns=optional.turns and has.turns)
        # Ground truth may lie a rounding outside the outermost bins.
        sequence = self.builder.build(TASKS[task], given, wanted, clamp=True, optional=optional)
        if self.walk is not None:
            sequence = self.walk(TASKS[task], sequence, optional)
        if (self.objects or self.change_weight != 1.0) and given.scene is not None and wanted.scene is not None:
            changed = self.builder.changed(sequence.ids)
            factor = np.where(changed, self.change_weight, 1.0).astype(np.float32)
            sequence = replace(sequence, weights=factor * sequence.weights, changed=changed if self.objects else None)
        if self.objects and given.scene is not None and given.text is not None:
            sequence = replace(sequence, named=self.builder.named(sequence.ids))
        seen = drawn = None
        if self.objects and given.image is not None:
            seen = self._object_rows(given.scene or wanted.scene, reach=0.0)
        if (self.objects or self.object_weight != 1.0) and wanted.image is not None:
            drawn = self._object_rows(wanted.scene or given.scene, reach=REACH)
        if drawn is None:
            return replace(sequence, objects=seen)
        cells = np.append(drawn[:, 0] >= 0, False)[next_grid_positions(replace(sequence, drawn=drawn))]  # -1: none
        weights = sequence.weights.copy()
        weights[np.flatnonzero(cells) + 1] *= self.object_weight
        return replace(sequence, objects=seen, drawn=drawn if self.objects else None, weights=weights)

    def _object_rows(self, scene: Scene | None, *, reach: float) -> np.ndarray | None:
        if scene is None or scene.camera is None:
            return None
        rows, columns = self.builder.image_grid
        return object_rows(scene, self.builder.scenes.schema, rows=rows, columns=columns, reach=reach)


def check_codes(folders: Sequence[str], tokenizers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ConfigError for a set whose codes are another tokenizer's; a set without a card says nothing of it.

    Args:
        tokenizers: what the image tokenizer, and the shape tokenizer where there is one, is (`about`), by its kind.
    """
    for folder in folders:
        path = Path(folder) / "card.json"
        card = json.loads(path.read_text()) if path.is_file() else {}
        for kind, about in tokenizers.items():
            coded_with = card.get(f"{kind}_tokenizer") or {}
            hashed = "codes_sha256" if "codes_sha256" in coded_with else "sha256"
            theirs, ours = coded_with.get(hashed), about[hashed]
            if theirs is not None and theirs != ours:
                raise ConfigError(
                    f"{folder} was coded with the {kind} tokenizer {theirs[:12]}..., the processor has {ours[:12]}...; "
                    "their codes mean different things. Code the set again with tokenizers/encode.py, or name the "
                    "processor of that tokenizer."
                )


def _needed(task: str) -> set[str]:
    return {column.split(".")[0] for side in COLUMNS[task] for column in side.values()}


def _reads(task: str, prefix: str) -> bool:
    """Whether a task has a column of that beginning."""
    return any(column.startswith(prefix) for side in COLUMNS[task] for column in side.values())


def _asked(row: dict[str, Any], which: float, count: int) -> list[dict[str, Any]]:
    """The row once for each of `count` of its questions, from a drawn one on, around the end."""
    questions = row["questions"]
    first = int(which * len(questions))
    chosen = [questions[(first + number) % len(questions)] for number in range(min(count, len(questions)))]
    return [row | {f"questions.{name}": value for name, value in one.items()} for one in chosen]


def _sides(task: str, row: Mapping[str, Any]) -> tuple[Segments, Segments]:
    """What goes in, and what is to come out."""
    seen = {**row, "codes": row[SEEN]} if SEEN in row else row
    given, wanted = (
        Segments(**{segment: content_of(segment, of_side[column]) for segment, column in side.items()})
        for of_side, side in zip((seen, row), COLUMNS[task], strict=True)
    )
    return given, wanted


def _numbers(lengths: Sequence[int], shares: Sequence[float] | None) -> list[int]:
    """How many samples of an epoch each set gives. Raises ConfigError for shares that do not fit the sets."""
    if shares is None:
        return list(lengths)
    if len(shares) != len(lengths) or min(shares) <= 0:
        raise ConfigError(
            f"data.shares is {list(shares)}; it has a number above 0 for each of the {len(lengths)} folders."
        )
    whole = max(length / share for length, share in zip(lengths, shares, strict=True))
    return [max(1, round(whole * share)) for share in shares]


def content_of(segment: str, value: Any) -> Any:
    """A segment from a set's column: scenes and programs are JSON there."""
    match segment:
        case "image":
            return np.asarray(value)
        case "scene":
            return _scene(value)
        case "program":
            return _program(json.loads(value))
        case "dialogue":
            return tuple((text, _program(program)) for text, program in json.loads(value))
    return value


def _program(data: Any) -> Program | Refused:
    return REFUSED if data is None else from_json(data)


@lru_cache(maxsize=8)
def _scene(text: str) -> Scene:
    """Of scene JSON. Samples that share a scene have it read once."""
    return scene_from_json(json.loads(text))


def _open(folder: str) -> Any:
    try:
        ours = (Path(folder) / "settings.json").is_file() or any(Path(folder).glob("*.parquet"))
        rows = open_set(Path(folder)) if ours else load_from_disk(folder)
    except FileNotFoundError as error:
        raise ConfigError(
            f"data.folders has {folder}, which is no Arrow set. tokenizers/encode.py makes one of pictures, "
            "`kyvo data` one of scenes and texts alone."
        ) from error
    except (
        IndexError,
        ArrowInvalid,
    ) as error:  # datasets' answer to a set of no files, pyarrow's to half a file
        raise ConfigError(
            f"{folder} is an empty or damaged set. Leave it out of data.folders, or make it anew."
        ) from error
    known = set.union({SEEN, *PROGRAMS}, *map(_needed, COLUMNS))
    return rows.select_columns([name for name in rows.column_names if name in known])
