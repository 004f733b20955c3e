"""Blind ranking by people: the study, one rating, and the figures, after Kyvo's paper (arXiv 2506.08002, appendix C.2).

For each item a person sees the truth and the N models' pictures, shuffled and without names, and gives every picture
a score (1: every object is right and in its place; 0: anything differs) and a rank from 1 to N, in which equals are
allowed. The paper takes 50 items and reports, for each model, the mean rank, the winning rate (the share of ratings
that rank it first) and the mean score. A mean rank holds only among the models that were ranked together.

How ranks after a tie count, the paper leaves open. Here a picture's rank is 1 + the number of pictures ranked strictly
better, so 1 1 2 and 1 1 3 are one opinion; the files keep what the person gave.

    FOLDER/study.json             what is compared, and the seed of the shuffling
    FOLDER/ratings/<rater>.json   what one person gave, by the models' names
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.errors import ConfigError, KyvoError
from kyvo.evaluation.human_eval_pictures import MESHES, PICTURES, check_shown
from kyvo.evaluation.results import Figure, Results, mean_figure
from kyvo.scene.files import read_json, write_json

COUNT = 50  # items of the paper's studies
TRUTH = "truth"
RATER = re.compile(r"[a-z0-9_-]{1,40}")  # it becomes a file's name


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is compared: `items` are file stems, found in the folder of the truth and in that of every model."""

    seed: int
    folders: Mapping[str, str]  # TRUTH and the models' names -> folder
    items: tuple[str, ...]  # in the order in which they are shown
    files: Mapping[str, Mapping[str, str]]  # item -> TRUTH or model -> file name
    digest: str  # sha256 over everything that is shown
    excluded: tuple[Mapping[str, str], ...] = ()  # key and reason of what cannot be shown of all

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(name for name in self.folders if name != TRUTH)

    def path(self, item: str, name: str) -> Path:
        """The file of `item` that the truth or a model has."""
        return Path(self.folders[name]) / self.files[item][name]

    def order(self, rater: str, item: str) -> tuple[str, ...]:
        """The models as this person sees them for this item: the same at each visit, unrelated between items."""
        text = f"{self.digest}/{self.seed}/{rater}/{item}"
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
        return tuple(self.models[place] for place in generator.permutation(len(self.models)))


@dataclass(frozen=True, kw_only=True)
class Rating:
    """What one person gave to one item, in the order in which the pictures were shown."""

    scores: tuple[int, ...]  # 0 or 1 each
    ranks: tuple[int, ...]  # 1 is the best; equals are allowed


def open_study(
    folder: Path,
    *,
    truth: Path | None = None,
    models: Mapping[str, Path] | None = None,
    count: int = COUNT,
    seed: int = 0,
) -> Study:
    """The study in `folder`, begun there if `folder` holds none.

    Args:
        folder: where the study and its ratings are kept.
        truth: folder of the true pictures or meshes; needed where the study is new.
        models: name -> folder of the pictures that are ranked, by the truth's file stems; at least one.
        count: how many of the items that all folders have are drawn, by `seed`.
        seed: of the draw and of the shuffling.

    Raises:
        ConfigError: nothing to begin with, or `folder` holds another study, or a shown file has changed since.
    """
    path = folder / "study.json"
    fresh = None if truth is None or not models else _draw_study(truth, models, count, seed)
    if not path.exists():
        if fresh is None:
            raise ConfigError(f"{folder} holds no study yet; name the truth's folder and at least one model's.")
        folder.mkdir(parents=True, exist_ok=True)
        write_json({"format": "kyvo-people", "version": 1} | asdict(fresh), path)
        return fresh
    study = _load_study(path)
    if fresh is not None and (fresh.digest, fresh.seed) != (study.digest, study.seed):
        raise ConfigError(
            f"{path} is a study of other files, models or another seed (items {len(study.items)}, seed {study.seed}, "
            f"{', '.join(study.models)}). Name another folder, or go on with it by naming the folder alone."
        )
    if _digest(study.folders, study.files) != study.digest:
        raise ConfigError(f"{path}: files that it shows have changed since it began. Begin anew in another folder.")
    return study


def read_rating(data: Any, study: Study) -> tuple[str, str, Rating]:
    """What a page sends -> rater, item, rating. Raises ConfigError with what is wrong."""
    if not isinstance(data, dict) or data.keys() != {"rater", "item", "scores", "ranks"}:
        raise ConfigError("a rating is an object with rater, item, scores and ranks, and nothing else.")
    number, size = data["item"], len(study.models)
    if not _is_whole(number) or not 0 <= number < len(study.items):
        raise ConfigError(f"item is {number!r}; a number from 0 to {len(study.items) - 1} is needed.")
    scores = _numbers(data["scores"], "scores", size, (0, 1))
    ranks = _numbers(data["ranks"], "ranks", size, range(1, size + 1))
    return check_rater(data["rater"]), study.items[number], Rating(scores=scores, ranks=ranks)


def check_rater(name: Any) -> str:
    """The name, if it can be a file's. Raises ConfigError."""
    if not isinstance(name, str) or not RATER.fullmatch(name):
        raise ConfigError(f"rater is {name!r}; 1 to 40 of a-z, 0-9, _ and - are needed.")
    return name


def save_rating(folder: Path, study: Study, rater: str, item: str, rating: Rating) -> int:
    """Adds a rating to the person's file, in place of an earlier one; returns how many items the person has done."""
    ratings = load_ratings(folder, study, rater)
    order = study.order(rater, item)
    ratings[item] = {
        "scores": dict(zip(order, rating.scores, strict=True)),
        "ranks": dict(zip(order, rating.ranks, strict=True)),
        "shown": list(order),
    }
    path = folder / "ratings" / f"{rater}.json"
    path.parent.mkdir(exist_ok=True)
    head = {"format": "kyvo-people-ratings", "version": 1, "study": study.digest, "rater": rater}
    write_json(head | {"ratings": ratings}, path)
    return len(ratings)


def load_ratings(folder: Path, study: Study, rater: str) -> dict[str, Any]:
    """A person's ratings by item: scores and ranks by model. Empty before the first.

    Raises ConfigError where the file belongs to another study or is damaged.
    """
    path = folder / "ratings" / f"{rater}.json"
    if not path.exists():
        return {}
    data = read_json(path)
    if not isinstance(data, dict) or data.get("study") != study.digest or not isinstance(data.get("ratings"), dict):
        raise ConfigError(f"{path}: not the ratings of this study. Move the file away.")
    size = len(study.models)
    for item, row in data["ratings"].items():
        if item not in study.files or not isinstance(row, dict):
            raise ConfigError(f"{path}: {item!r} is no rated item of this study.")
        for key, allowed in (("scores", (0, 1)), ("ranks", range(1, size + 1))):
            given = row.get(key)
            if not isinstance(given, dict) or given.keys() != set(study.models):
                raise ConfigError(f"{path}: {item}: {key} must be given for {', '.join(study.models)}.")
            _numbers(list(given.values()), f"{path}: {item}: {key}", size, allowed)
    return data["ratings"]


def competition_ranks(ranks: Sequence[float]) -> list[int]:
    """1 + the number of strictly better ones: 1 1 2 and 1 1 3 both give 1 1 3."""
    return [1 + sum(other < rank for other in ranks) for rank in ranks]


def human_eval_results(folder: Path, *, seed: int = 0) -> Results:
    """The figures of a study: for each model mean rank, winning rate and mean score.

    Intervals are bootstrapped over items, since ratings of one item by several people hang together; a rater's file
    that cannot be used is listed as excluded. Raises ConfigError without any rating.
    """
    study = open_study(folder)
    raters: dict[str, dict[str, Any]] = {}
    excluded = list(study.excluded)
    for path in sorted((folder / "ratings").glob("[!.]*.json")):
        try:
            raters[path.stem] = load_ratings(folder, study, check_rater(path.stem))
        except KyvoError as error:
            excluded.append({"key": path.name, "reason": str(error)})
    by_item = {item: [rows[item] for rows in raters.values() if item in rows] for item in study.items}
    by_item = {item: rows for item, rows in by_item.items() if rows}
    if not by_item:
        raise ConfigError(f"{folder / 'ratings'} holds no ratings yet; `kyvo human-eval serve {folder}` collects them.")
    ranks = {item: np.array([_ranks(row, study.models) for row in rows]) for item, rows in by_item.items()}
    scores = {item: np.array([_given(row, "scores", study.models) for row in rows]) for item, rows in by_item.items()}
    weights = [len(rows) for rows in by_item.values()]  # ratings an item has

    def figure(name: str, model: str, values: Mapping[str, np.ndarray]) -> Figure:
        column = study.models.index(model)
        means = [float(rows[:, column].mean()) for rows in values.values()]
        return mean_figure(f"{name}: {model}", means, seed=seed, weights=weights)

    first = {item: (rows == 1).astype(float) for item, rows in ranks.items()}
    measures = {"mean rank": ranks, "winning rate": first, "mean score": scores}
    figures = [figure(name, model, values) for model in study.models for name, values in measures.items()]
    everything = np.concatenate(list(ranks.values()))
    beats = (everything[:, :, None] < everything[:, None, :]).mean(0)
    return Results(
        kind="human_eval",
        protocol={
            "measure": "blind ranking of https://arxiv.org/abs/2506.08002, appendix C.2",
            "score": "1 where every object is right and in its place, else 0",
            "rank": "1 + the number of pictures ranked strictly better; equals allowed",
            "winning rate": "share of ratings that rank the model first, alone or with others",
            "models": list(study.models),
            "interval": "bootstrap over items",
        },
        figures=figures,
        inputs={"study": {"name": folder.name, "sha256": study.digest, "items": len(study.items), "seed": study.seed}},
        tables={
            "ratings by rater": {name: len(rows) for name, rows in raters.items()},
            "share of ratings that rank the row's model before the column's": {
                model: dict(zip(study.models, row.tolist(), strict=True))
                for model, row in zip(study.models, beats, strict=True)
            },
        },
        items=[
            {
                "key": item,
                "score": float(scores[item].mean()),
                "ratings": len(rows),
                "ranks": dict(zip(study.models, ranks[item].mean(0).tolist(), strict=True)),
                "scores": dict(zip(study.models, scores[item].mean(0).tolist(), strict=True)),
            }
            for item, rows in by_item.items()
        ],
        excluded=excluded,
    )


def _draw_study(truth: Path, models: Mapping[str, Path], count: int, seed: int) -> Study:
    if TRUTH in models or "" in models:
        raise ConfigError(f"a model cannot be called {TRUTH!r} or nothing; give it another name.")
    folders = {TRUTH: truth, **models}
    found = {name: _shown_files(folder) for name, folder in folders.items()}
    stems = sorted(set().union(*found.values()))
    lacking = {stem: [name for name in folders if stem not in found[name]] for stem in stems}
    common = [stem for stem in stems if not lacking[stem]]
    if not common:
        raise ConfigError(
            f"no file stem stands in all of {', '.join(map(str, folders.values()))}; a picture of each model must be "
            f"called as the truth's is. Known kinds: {', '.join(PICTURES + MESHES)}."
        )
    excluded = {stem: f"no file of this stem: {', '.join(names)}" for stem, names in lacking.items() if names}
    files: dict[str, dict[str, str]] = {}
    why = ""
    for index in np.random.default_rng(seed).permutation(len(common)):
        item = common[index]
        try:
            for name, folder in folders.items():
                check_shown(folder / found[name][item])
        except KyvoError as error:
            excluded[item] = why = str(error)
            continue
        files[item] = {name: found[name][item] for name in folders}
        if len(files) == count:
            break
    if not files:
        raise ConfigError(f"none of the {len(common)} items can be shown. The last: {why}")
    paths = {name: str(folder.resolve()) for name, folder in folders.items()}
    return Study(
        seed=seed,
        folders=paths,
        items=tuple(files),
        files=files,
        digest=_digest(paths, files),
        excluded=tuple({"key": key, "reason": reason} for key, reason in excluded.items()),
    )


def _shown_files(folder: Path) -> dict[str, str]:
    """Stem -> file name. Raises ConfigError where two files share a stem."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name one with pictures or meshes.")
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURES + MESHES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise ConfigError(f"{folder} holds {found[path.stem]} and {path.name}; one file for each item is needed.")
        found[path.stem] = path.name
    return found


def _digest(folders: Mapping[str, str], files: Mapping[str, Mapping[str, str]]) -> str:
    """sha256 over the items, the models' names and the content of what is shown, wherever it lies."""
    digest = hashlib.sha256()
    for item, names in files.items():
        for name, file in names.items():
            try:
                content = hashlib.sha256((Path(folders[name]) / file).read_bytes()).hexdigest()
            except OSError as error:
                raise ConfigError(f"{folders[name]}/{file}: cannot be read ({error.strerror}).") from error
            digest.update(json.dumps([item, name, content]).encode())
    return digest.hexdigest()


def _load_study(path: Path) -> Study:
    data = read_json(path)
    names = {entry.name for entry in fields(Study)}
    if not isinstance(data, dict) or data.get("format") != "kyvo-people" or names - data.keys():
        raise ConfigError(f"{path}: not a study; `kyvo human-eval serve` writes one.")
    return Study(
        seed=data["seed"],
        folders=data["folders"],
        items=tuple(data["items"]),
        files=data["files"],
        digest=data["digest"],
        excluded=tuple(data["excluded"]),
    )


def _given(row: Mapping[str, Any], key: str, models: Sequence[str]) -> list[float]:
    return [row[key][model] for model in models]


def _ranks(row: Mapping[str, Any], models: Sequence[str]) -> list[int]:
    return competition_ranks(_given(row, "ranks", models))


def _numbers(values: Any, name: str, size: int, allowed: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(values, list) or len(values) != size:
        raise ConfigError(f"{name} is {values!r}; a list of {size} is needed, one for each picture.")
    for place, value in enumerate(values):
        if not _is_whole(value) or value not in allowed:
            raise ConfigError(f"{name}[{place}] is {value!r}; a whole number {allowed[0]} to {allowed[-1]} is needed.")
    return tuple(values)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
