"""The errors Kyvo raises for its users.

A message says what was found, what would fit, where it stands, and what to do. Layers above add the
place with ``raise SceneError(f"{where}: {error}") from error``. Broken invariants of our own are `assert`s.
"""


class KyvoError(ValueError):
    """Anything a user can mend: the root of the errors below."""


class SceneError(KyvoError):
    """A scene, a scene file or a scene schema that does not hold together."""


class TokenError(KyvoError):
    """Token ids that do not parse, or a value that has no id."""


class ConfigError(KyvoError):
    """A setting that is misspelt, missing or out of range."""


class CheckpointError(KyvoError):
    """A model folder or weight file that is incomplete or of another layout."""


class ImageError(KyvoError):
    """A picture that cannot be read, or is not a picture."""


class FileError(KyvoError):
    """A file that cannot be written: no space, no permission, no such folder, or another process has it."""
