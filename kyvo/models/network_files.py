"""Small networks beside a model: weights in bfloat16 and the config, a dataclass, in one safetensors file."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from safetensors import safe_open
from torch import nn

from kyvo.errors import CheckpointError
from kyvo.files import make_folder, reading
from kyvo.models.weights import check_weights, write_weights

Network = TypeVar("Network", bound=nn.Module)


def save_network(path: Path, network: nn.Module) -> None:
    """Writes it; the config, its attribute, into the file's metadata."""
    make_folder(path.parent)
    weights = {name: tensor.bfloat16().contiguous() for name, tensor in network.state_dict().items()}
    config: Any = network.config
    write_weights(path, weights, metadata={"config": json.dumps(asdict(config))})


def load_network(
    path: Path, network: Callable[[Any], Network], config: Callable[..., Any], *, recipe: str
) -> Network | None:
    """What `save_network` wrote, as `network(config(...))` in float32 and not to be trained; None where there is none.

    Raises CheckpointError for another file, and names the `recipe` that makes one.
    """
    if not path.is_file():
        return None
    check_weights([path])
    with reading(path), safe_open(path, framework="pt") as file:
        about: dict[str, Any] = json.loads((file.metadata() or {}).get("config", "{}"))
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118  # no mapping
    try:
        loaded = network(
            config(**{name: tuple(value) if isinstance(value, list) else value for name, value in about.items()})
        )
        loaded.load_state_dict(weights)
    except (TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is not what {recipe} writes: {error}. Train it again.") from error
    return loaded.eval().requires_grad_(False)
