"""What trainings of flows leave: a run's newest model, and the hashes of the frozen networks it was trained with."""

import hashlib
from pathlib import Path

from kyvo.errors import CheckpointError

TRAINED_WITH = "trained_with.json"  # in a network's folder: name of a network -> `weights_hash`


def weights_hash(path: Path | str) -> str:
    """SHA-256 of `<path>.safetensors`; of a folder, of all the weights in it, by name."""
    base = Path(path)
    files = sorted(base.glob("*.safetensors")) if base.is_dir() else [base.with_name(f"{base.name}.safetensors")]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def newest_model(run: Path) -> Path:
    """The `model` folder of a run's newest checkpoint. Raises CheckpointError where there is none."""
    latest_file = run / "latest"
    if not latest_file.is_file():
        raise CheckpointError(f"{run} has no checkpoint: {latest_file} is missing. Give the OUT of a training.")
    return run / latest_file.read_text(encoding="utf-8").strip() / "model"
