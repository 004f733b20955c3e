"""Gaussians as a PLY file in the layout that viewers of 3D Gaussian splatting read, and back.

One vertex a Gaussian, float32: x y z, nx ny nz (unused), f_dc_0..2 (color), opacity (logit), scale_0..2 (logarithms),
rot_0..3 (quaternion, w first). Those viewers have y down, and so has TRELLIS's file: the object's x, y, z become
x, -z, y (Kerbl et al. 2023, https://arxiv.org/abs/2308.04079, released code).
"""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.export.files import replaced
from kyvo.export.primitives import TO_Y_UP
from kyvo.models.slat.gaussians import Gaussians
from kyvo.models.slat.radiance import SH_CONSTANT

PROPERTIES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
UNUSED = ("nx", "ny", "nz")
MAX_GAUSSIANS = 20_000_000
MARGIN = 1e-6  # opacities of 0 and 1 have no logit
TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
}
TO_FILE = np.array(TO_Y_UP["-y"]).T @ np.array(TO_Y_UP["+z"])  # z up to y down


def write_gaussians(gaussians: Gaussians, path: Path | str) -> None:
    """Writes the file whole or not at all. Raises SceneError where it cannot be written."""
    values = {name: value.detach().cpu().double().numpy() for name, value in vars(gaussians).items()}
    opacity = np.clip(values["opacities"], MARGIN, 1 - MARGIN)
    columns = np.concatenate(
        [
            values["positions"] @ TO_FILE.T,
            np.zeros((len(gaussians), 3)),
            (values["colors"] - 0.5) / SH_CONSTANT,
            np.log(opacity / (1 - opacity))[:, None],
            np.log(np.maximum(values["scales"], 1e-12)),
            _turned(values["rotations_wxyz"], TO_FILE),
        ],
        axis=1,
    )
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    header += [f"property float {name}" for name in PROPERTIES] + ["end_header", ""]
    with replaced(Path(path)) as draft:
        draft.write_bytes("\n".join(header).encode() + columns.astype("<f4").tobytes())


def read_gaussians(path: Path | str) -> Gaussians:
    """Reads such a file of ours, of TRELLIS's or of others'; colors that depend on the view (f_rest_*) are passed over.

    Raises:
        AssetError: the file, and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"file: {path} does not exist.")
    with path.open("rb") as file:
        count, dtype = _read_header(file, path)
        left = path.stat().st_size - file.tell()
        if count > MAX_GAUSSIANS or count * dtype.itemsize > left:
            raise AssetError(
                f"file: {path}: its header claims {count:,} Gaussians of {dtype.itemsize} bytes; {left:,} bytes "
                f"follow, and up to {MAX_GAUSSIANS:,} are read. Copy the file again."
            )
        rows = np.frombuffer(file.read(count * dtype.itemsize), dtype)
    values = {name: rows[name].astype(np.float64) for name in PROPERTIES if name not in UNUSED}
    for name, value in values.items():
        broken = int((~np.isfinite(value)).sum())
        if broken:
            raise AssetError(f"file: {path}: {name}: {broken} of {count} values are NaN or infinite. Export it anew.")

    def columns(*names: str) -> np.ndarray:
        return np.stack([values[name] for name in names], axis=1)

    rotations = columns("rot_0", "rot_1", "rot_2", "rot_3")
    if not np.linalg.norm(rotations, axis=1).all():
        raise AssetError(f"file: {path}: rot_0 to rot_3: a quaternion is zero. Export it anew.")
    parts = {
        "positions": columns("x", "y", "z") @ TO_FILE,
        "scales": np.exp(columns("scale_0", "scale_1", "scale_2")),
        "rotations_wxyz": _turned(rotations, TO_FILE.T),
        "opacities": 1 / (1 + np.exp(-values["opacity"])),
        "colors": np.maximum(0.5 + SH_CONSTANT * columns("f_dc_0", "f_dc_1", "f_dc_2"), 0),
    }
    return Gaussians(**{name: torch.from_numpy(value).float() for name, value in parts.items()})


def _read_header(file, path: Path) -> tuple[int, np.dtype]:
    """How many vertices there are, and the type of one."""
    lines = []
    for raw in file:
        lines.append(raw.decode("ascii", errors="replace").split())
        if lines[-1] == ["end_header"] or len(lines) > 1000:
            break
    if lines[:1] != [["ply"]] or lines[-1] != ["end_header"] or ["format", "binary_little_endian", "1.0"] not in lines:
        raise AssetError(f"file: {path} is no binary little-endian PLY file. Export the Gaussians in that format.")
    elements = [line for line in lines if line[0:1] == ["element"]]
    kinds = [line for line in lines if line[0:1] == ["property"]]
    names = [line[-1] for line in kinds]
    missing = [name for name in PROPERTIES if name not in names and name not in UNUSED]
    if missing or len(elements) != 1 or elements[0][1] != "vertex" or not elements[0][2].isdecimal():
        what = f"it lacks {', '.join(missing)}" if missing else "it has other elements than vertices"
        raise AssetError(f"file: {path} holds no Gaussians: {what}. A mesh is read by load_shape.")
    unknown = [" ".join(line) for line in kinds if len(line) != 3 or line[1] not in TYPES]
    if unknown:
        raise AssetError(f"file: {path}: {unknown[0]!r} is of no type known here: {', '.join(TYPES)}.")
    return int(elements[0][2]), np.dtype([(line[2], "<" + TYPES[line[1]]) for line in kinds])


def _turned(wxyz: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Unit quaternions of the rotations followed by one more."""
    turned = Rotation.from_matrix(matrix) * Rotation.from_quat(wxyz[:, [1, 2, 3, 0]])
    return turned.as_quat()[:, [3, 0, 1, 2]]
