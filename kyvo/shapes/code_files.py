"""Files of shape codes: what `kyvo shape encode` writes, as JSON or `.npz`, and the way back.

    {"format": "kyvo-shape-codes", "version": 1, "shape_tokenizer": SHA256, "objects": [
      {"name": "chair", "source": "chair.glb", "place": {"center": [0, 0, 0.4], "size": 0.8, "turn": [...]},
       "codes": [17, ...]}]}

`shape_tokenizer` is the hash of the tokenizer's weights: the codes mean nothing to another one. `place` is where the
mesh stood (`kyvo.shapes.mesh.CubeTransform`). The `.npz` has the codes as `codes`, int32 [objects, num_codes], and the
rest as one string, `about`.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.errors import ConfigError, TokenError
from kyvo.files import write_arrays, write_text
from kyvo.npz import read_header
from kyvo.scene.files import unique_keys
from kyvo.shapes.mesh import CubeTransform

FORMAT = "kyvo-shape-codes"
VERSION = 1
SUFFIXES = (".json", ".npz")
MAX_BYTES = 1 << 30  # of a file, and of what an archive holds


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeCodes:
    """One object: its codes, and where it came from."""

    name: str  # a file can be called so
    codes: Int[np.ndarray, " codes"]
    source: str = ""
    place: CubeTransform | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeFile:
    """What a file holds."""

    tokenizer: str  # sha256 of its weights' file
    objects: tuple[ShapeCodes, ...]

    def save(self, path: Path | str) -> None:
        """Writes the file whole or not at all. Raises ConfigError for a name that ends otherwise."""
        path = Path(path)
        check_suffix(path)
        about = {"format": FORMAT, "version": VERSION, "shape_tokenizer": self.tokenizer}
        rows = [
            {"name": item.name, "source": item.source, "place": item.place and asdict(item.place)}
            for item in self.objects
        ]
        if path.suffix.lower() == ".npz":
            codes = np.stack([item.codes for item in self.objects]).astype(np.int32)
            write_arrays(path, about=np.array(json.dumps({**about, "objects": rows})), codes=codes)
            return
        lines = [
            json.dumps({**row, "codes": item.codes.tolist()}) for row, item in zip(rows, self.objects, strict=True)
        ]
        head = json.dumps(about, indent=1).removesuffix("\n}")
        write_text(path, f'{head},\n "objects": [\n' + ",\n".join(lines) + "\n]}\n")

    @classmethod
    def load(cls, path: Path | str) -> "CodeFile":
        """Reads the file; nothing is unpickled, and nothing larger than MAX_BYTES is read, whatever it claims.

        Raises:
            TokenError: the file, and what is wrong with it.
        """
        path = Path(path)
        check_suffix(path)
        if not path.is_file():
            raise TokenError(f"{path} does not exist; codes are written by `kyvo shape encode`.")
        if path.stat().st_size > MAX_BYTES:
            raise TokenError(f"{path} is larger than {MAX_BYTES:,} bytes, which is the most that is read.")
        try:
            about = _read_archive(path) if path.suffix.lower() == ".npz" else _tree(path.read_bytes())
            return _from_json(about)
        except (TokenError, AssetError) as error:
            raise TokenError(f"{path}: {error}") from error
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RecursionError) as error:
            raise TokenError(f"{path} is no readable file of codes ({error}). Encode the mesh again.") from error


def check_suffix(path: Path) -> None:
    """Raises ConfigError for a file of another kind."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: codes are kept in {' or '.join(SUFFIXES)}; name the file so.")


def unique_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, numbered from the second of a stem on."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}_{number}", number + 1
        names.append(name)
    return names


def is_code_file(path: Path) -> bool:
    """Whether an `.npz` holds codes, and not a latent; of other files, whether their name ends in .json."""
    if path.suffix.lower() != ".npz":
        return path.suffix.lower() == ".json"
    try:
        with zipfile.ZipFile(path) as archive:
            return "codes.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False  # who reads it as a latent says what it is


def _tree(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=unique_keys)


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        about, codes = (_read_array(archive, name) for name in ("about", "codes"))
    if about.dtype.kind != "U" or about.ndim:
        raise TokenError(f"about is {about.dtype} {list(about.shape)}; it is one string of JSON.")
    if codes.dtype.kind not in "iu" or codes.ndim != 2:
        raise TokenError(f"codes is {codes.dtype} {list(codes.shape)}; codes are integers [objects, num_codes].")
    tree = _tree(str(about))
    rows = tree.get("objects") if isinstance(tree, dict) else None
    if not isinstance(rows, list) or len(rows) != len(codes):
        raise TokenError(f"about does not list the {len(codes)} objects that codes has.")
    return {**tree, "objects": [{**row, "codes": row_codes} for row, row_codes in zip(rows, codes, strict=True)]}


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, after a look at its header: numpy would set aside whatever that claims."""
    member = f"{name}.npy"
    if member not in archive.namelist():
        known = ", ".join(Path(each).stem for each in archive.namelist())
        raise TokenError(f"there is no array {name!r} but {known or 'none'}; a file of codes has about and codes.")
    size = archive.getinfo(member).file_size
    with archive.open(member) as file:
        shape, dtype = read_header(file, what=name, error=TokenError)
        count = int(np.prod(shape, dtype=object))
        if not count * dtype.itemsize == size - file.tell() <= MAX_BYTES:
            raise TokenError(f"{name} claims to be {dtype} {list(shape)}; the archive has {size:,} bytes of it.")
        return np.frombuffer(file.read(), dtype).reshape(shape)


def _from_json(tree: Any) -> CodeFile:
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise TokenError("it is no file of codes; `kyvo shape encode` writes one.")
    if tree.get("version") != VERSION:
        raise TokenError(f"version is {tree.get('version')!r}; this Kyvo reads {VERSION}.")
    rows = tree.get("objects")
    if not isinstance(tree.get("shape_tokenizer"), str) or not isinstance(rows, list) or not rows:
        raise TokenError("shape_tokenizer must be a hash, and objects a list with at least one object.")
    objects = []
    for index, row in enumerate(rows):
        try:
            objects.append(_object(row))
        except (TokenError, AssetError) as error:
            raise TokenError(f"objects[{index}]: {error}") from error
        if any(other.name == objects[-1].name for other in objects[:-1]):
            raise TokenError(
                f"objects[{index}]: name is {objects[-1].name!r}, as an earlier one's; files are called by it."
            )
    return CodeFile(tokenizer=tree["shape_tokenizer"], objects=tuple(objects))


def _object(row: Any) -> ShapeCodes:
    if not isinstance(row, dict):
        raise TokenError(f"it is {type(row).__name__}; an object has name and codes.")
    name = row.get("name")
    # Files are called by it: it must not lead out of their folder.
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise TokenError(f"name is {name!r}; files are called by it, so it has no slash and is not empty.")
    given = row.get("codes", ())
    codes = np.asarray(given)
    if codes.dtype.kind not in "iu" or codes.ndim != 1 or any(isinstance(code, bool) for code in given):
        raise TokenError("codes is no list of integers.")
    place = row.get("place")
    if place is not None:
        try:
            place = CubeTransform.of(**place)
        except TypeError as error:
            raise TokenError(f"place has center, size and turn, not this ({error}).") from error
    return ShapeCodes(name=name, source=str(row.get("source", "")), codes=codes.astype(np.int64), place=place)
