"""Encoders of conditions from the user's folders and files."""

from pathlib import Path
from typing import Literal

from kyvo.errors import CheckpointError
from kyvo.models.flow.conditions import PictureCondition, TextCondition
from kyvo.models.flow.small_encoders import SmallPictureEncoder, SmallTextEncoder
from kyvo.models.slat.load import load_network

ConditionKind = Literal["picture", "text"]
ConditionEncoder = PictureCondition | TextCondition | SmallPictureEncoder | SmallTextEncoder

_PUBLISHED = {"picture": PictureCondition, "text": TextCondition}
_SMALL = {"picture": SmallPictureEncoder, "text": SmallTextEncoder}


def load_condition(kind: ConditionKind, path: Path | str) -> ConditionEncoder:
    """The encoder of a folder (DINOv2 for pictures, CLIP for texts), or a small one of `<path>.json` and its weights.

    Raises:
        CheckpointError: there is none, or it is of another kind.
    """
    if Path(path).is_dir():
        return _PUBLISHED[kind].from_folder(path)
    encoder = load_network(path)
    if not isinstance(encoder, _SMALL[kind]):
        raise CheckpointError(f"{path} is a {type(encoder).__name__}; conditions of the kind {kind!r} need another.")
    return encoder
