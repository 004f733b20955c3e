"""A network from a folder of the user's, as transformers keeps it; nothing is fetched."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from kyvo.errors import CheckpointError


def load_transformers(path: Path, class_name: str, *, model_type: str, needed: str, example: str) -> Any:
    """transformers' network of the class, of `config.json` and the safetensors beside it.

    Args:
        model_type: that `config.json` has to say.
        needed: what it is for, as "masks are made by SAM".
        example: a folder that would fit, as "a local copy of facebook/sam-vit-base".

    Raises:
        CheckpointError: there is no such folder, it holds another network, or its weights cannot be read.
    """
    import transformers

    try:
        about = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} has no readable config.json ({error}). Give {example}, as transformers saves it."
        ) from error
    if about.get("model_type") != model_type:
        raise CheckpointError(f"{path} is a {about.get('model_type')!r}; {needed}, a {model_type!r}.")
    try:
        network, loading = getattr(transformers, class_name).from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: its weights cannot be read ({error}). Fetch them again.") from error
    if loading["missing_keys"]:
        raise CheckpointError(f"{path}: its weights lack {sorted(loading['missing_keys'])[:3]}. Fetch them again.")
    return network
