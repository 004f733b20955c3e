"""Kyvo: one vocabulary for text, images and structured 3D scenes, and one language model over it.

Importing the package imports no torch; the public names below load their module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kyvo.threads import wait_passively

wait_passively()

__version__ = "0.2.0"

__all__ = [
    "Camera",
    "Conversation",
    "Kyvo",
    "Scene",
    "SceneObject",
    "SceneSchema",
    "__version__",
    "load_scene",
    "save_scene",
]

_HOME = {
    "Camera": "kyvo.scene.scene",
    "Conversation": "kyvo.conversation",
    "Kyvo": "kyvo.api",
    "Scene": "kyvo.scene.scene",
    "SceneObject": "kyvo.scene.scene",
    "SceneSchema": "kyvo.scene.schema",
    "load_scene": "kyvo.scene.files",
    "save_scene": "kyvo.scene.files",
}

if TYPE_CHECKING:
    from kyvo.api import Kyvo
    from kyvo.conversation import Conversation
    from kyvo.scene.files import load_scene, save_scene
    from kyvo.scene.scene import Camera, Scene, SceneObject
    from kyvo.scene.schema import SceneSchema


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'kyvo' has no attribute {name!r}")
