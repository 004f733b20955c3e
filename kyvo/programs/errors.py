"""The ways in which a program, or its text, does not fit a scene: each says what was found and what would fit."""

from collections.abc import Sequence

from kyvo.errors import KyvoError
from kyvo.programs.program import Selector
from kyvo.scene.scene import SceneObject, Vector


class ProgramError(KyvoError):
    """A program or text that cannot be carried out; the scene stays as it was."""


class NoSuchObject(ProgramError):
    """Nothing in the scene fits a description."""


class AmbiguousReference(ProgramError):
    """Several objects fit where fewer are meant. `candidates` are their indices in the scene, `selector` is the part of
    the program that they fit. In an edit, `objects` are the candidates as its earlier steps have left them."""

    def __init__(self, message: str, *, candidates: Sequence[int], selector: Selector) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.objects: tuple[SceneObject, ...] = ()
        self.selector = selector


class UnknownWord(ProgramError):
    """A word that neither the language nor the schema knows. `near` are known words like it."""

    def __init__(self, message: str, *, word: str, near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.word = word
        self.near = tuple(near)


class CannotPlace(ProgramError):
    """No place fits: outside of the bins, inside another object, more objects than the limit. `nearest` is the free
    location nearest to what was asked, where there is one."""

    def __init__(self, message: str, *, nearest: Vector | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


class NotUnderstood(ProgramError):
    """A text that asks nothing a scene can answer, or whose structure no parser reads."""


class AlreadySo(ProgramError):
    """An edit that would change nothing: the object is blue already."""
