"""Loading a model for a command: no chatter of other libraries, and a wrong name is wrong usage."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kyvo.cli.debug import debugging
from kyvo.errors import KyvoError

if TYPE_CHECKING:
    from kyvo.api import Kyvo


def load_model(name: str, device: str = "auto") -> "Kyvo":
    """The bundled model or model folder `name` on `device`. Exit code 2 where it cannot be loaded."""
    from transformers.utils.logging import disable_progress_bar

    from kyvo.api import Kyvo, lacking_parts

    disable_progress_bar()
    try:
        model = Kyvo.from_pretrained(name, device=device)
    except KyvoError as error:
        if debugging():
            raise
        raise typer.BadParameter(str(error), param_hint="--model / --device") from error
    for part in lacking_parts(Path(model.model.name_or_path)):
        typer.echo(f"note: {name} has no {part}", err=True)
    return model
