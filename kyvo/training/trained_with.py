"""Which frozen networks a flow was trained with, by the hashes of their weights, so that they are not mixed later."""

import hashlib
from pathlib import Path

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
