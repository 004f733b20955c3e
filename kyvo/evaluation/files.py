"""Files of two folders, paired by their names without the suffix; what has no partner is listed, never passed over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kyvo.errors import ConfigError, SceneError
from kyvo.evaluation.inputs import sha256_of


@dataclass(frozen=True, kw_only=True)
class FilePairs:
    """Key -> the prediction's file and the truth's, by key; and what has no partner or is of another kind."""

    pairs: Mapping[str, tuple[Path, Path]]
    excluded: tuple[dict[str, str], ...]
    inputs: Mapping[str, object]  # as `Results.inputs` holds it


def pair_files(predictions: Path, truth: Path, *, suffixes: Sequence[str]) -> FilePairs:
    """Pairs the files of two folders by stem; their suffixes may differ.

    Args:
        suffixes: of the files that are read, in small letters; others are listed. Names with a leading dot are not.

    Raises:
        ConfigError: one of the two is no folder.
        SceneError: two files of a folder share a stem, or the folders have none in common.
    """
    ours, our_others = _files(predictions, suffixes)
    theirs, their_others = _files(truth, suffixes)
    shared = sorted(ours.keys() & theirs.keys())
    if not shared:
        raise SceneError(
            f"{predictions} ({len(ours)} files) and {truth} ({len(theirs)}) have no name in common; files are paired "
            f"by their names without the suffix, and these end in {', '.join(suffixes)}."
        )
    reasons = [(key, "there is no prediction") for key in sorted(theirs.keys() - ours.keys())]
    reasons += [(key, "the truth has no such name") for key in sorted(ours.keys() - theirs.keys())]
    reasons += [(name, f"is none of {', '.join(suffixes)}") for name in (*our_others, *their_others)]
    inputs = {}
    for role, folder, files in (("predictions", predictions, ours), ("truth", truth, theirs)):
        inputs[role] = {"name": folder.name, "sha256": sha256_of(folder), "items": len(files)}
    return FilePairs(
        pairs={key: (ours[key], theirs[key]) for key in shared},
        excluded=tuple({"key": key, "reason": reason} for key, reason in reasons),
        inputs=inputs,
    )


def _files(folder: Path, suffixes: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; give one of files that end in {', '.join(suffixes)}.")
    found: dict[str, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.suffix.lower() not in suffixes or not path.is_file():
            others.append(path.name)
            continue
        if path.stem in found:
            raise SceneError(f"{folder}: {found[path.stem].name} and {path.name} share a name; remove one of the two.")
        found[path.stem] = path
    return found, others
