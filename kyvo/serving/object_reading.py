"""Meshes and latents that a client sends -> `ObjectInput` and region, in bounded time and memory.

Each is read in a process of its own, in an empty folder, which ends where it takes more than it may. A file comes
alone: one that names other files, which would be this machine's, is refused. Run as a program, this module is that
process:

    one line of JSON, the files   ->   an .npz of the latent, its place and the region, or one line of JSON: the error
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.meshes.named_files import alone
from kyvo.errors import KyvoError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.object_inputs import LatentKind, ObjectInput, read_object, read_region
from kyvo.serving.limits import Limits
from kyvo.shapes.mesh import Place

SUFFIXES = {"glb": ".glb", "ply": ".ply", "latent": ".npz"}  # by format
BUSY = 15  # times as long reading may take on the clock: the machine may have other work


@dataclass(frozen=True, kw_only=True)
class SentFile:
    """A file of a request."""

    format: str  # one of SUFFIXES
    content: bytes
    up_axis: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadObject:
    """What the files of a request hold."""

    item: ObjectInput
    region: Bool[Tensor, "x y z"] | None = None


def read_sent(sent: SentFile, kind: LatentKind, limits: Limits, *, mask: SentFile | None = None) -> ReadObject:
    """The object of a file, and the region of a closed mesh.

    Raises:
        AssetError: the file cannot be read, or takes more than it may.
    """
    files = {"object": sent} | ({} if mask is None else {"mask": mask})
    about = {
        role: {"format": one.format, "size": len(one.content), "up_axis": one.up_axis} for role, one in files.items()
    }
    head = {"kind": asdict(kind), "files": about, "seconds": limits.mesh_seconds, "memory": limits.mesh_memory}
    with tempfile.TemporaryDirectory(prefix="kyvo-object-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", __name__],
                input=json.dumps(head).encode() + b"\n" + b"".join(one.content for one in files.values()),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=BUSY * limits.mesh_seconds,
                cwd=folder,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            raise _too_much(limits) from None
    if done.returncode != 0:
        raise _too_much(limits)
    if done.stdout.startswith(b"{"):
        raise AssetError(json.loads(done.stdout)["error"])
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as found:
        return _unpack(found, kind)


def _too_much(limits: Limits) -> AssetError:
    return AssetError(
        f"the file takes more than {limits.mesh_seconds:g} s or {limits.mesh_memory / 2**20:,.0f} MiB to read, or its "
        "reader crashed. Reduce the mesh."
    )


def _environment() -> Mapping[str, str]:
    paths = [entry or os.getcwd() for entry in sys.path]  # what this process can import, that one can
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _unpack(found: Any, kind: LatentKind) -> ReadObject:
    place = None
    if "center" in found:
        place = Place.of(center=found["center"], size=float(found["size"]), turn=found["turn"])
    latent = StructuredLatent(
        coords=torch.from_numpy(found["coords"]), feats=torch.from_numpy(found["feats"]), resolution=kind.resolution
    )
    region = torch.from_numpy(found["region"]) if "region" in found else None
    return ReadObject(item=ObjectInput(latent=latent, place=place), region=region)


def _pack(item: ObjectInput, region: Bool[Tensor, "x y z"] | None) -> bytes:
    arrays = {"coords": item.latent.coords.numpy(), "feats": item.latent.feats.numpy()}
    if item.place is not None:
        arrays |= {name: np.array(value) for name, value in asdict(item.place).items()}
    if region is not None:
        arrays["region"] = region.numpy()
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # of any names
    return file.getvalue()


def _limit(seconds: float, memory: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # where the system has no such limit
        import resource

        last = int(sum(os.times()[:2]) + seconds) + 1  # importing this module took some
        resource.setrlimit(resource.RLIMIT_CPU, (last, last))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def read_files(paths: Mapping[str, Path], kind: LatentKind, up_axes: Mapping[str, str | None]) -> bytes:
    """What the files hold, or what is wrong with them."""
    try:
        with alone():
            item = read_object(paths["object"], kind, up_axis=up_axes["object"])
            region = read_region(paths["mask"], item, up_axis=up_axes["mask"]) if "mask" in paths else None
    except KyvoError as error:
        return json.dumps({"error": str(error)}).encode()
    except MemoryError:
        return json.dumps({"error": "the file takes more memory to read than it may. Reduce the mesh."}).encode()
    return _pack(item, region)


def _serve(inputs: IO[bytes]) -> bytes:
    """The answer to one request, its files written into the working directory."""
    head = json.loads(inputs.readline())
    paths = {}
    for role, about in head["files"].items():
        paths[role] = Path(f"the {role}{SUFFIXES[about['format']]}")
        paths[role].write_bytes(inputs.read(about["size"]))
    _limit(head["seconds"], head["memory"])
    up_axes = {role: about["up_axis"] for role, about in head["files"].items()}
    return read_files(paths, LatentKind(**head["kind"]), up_axes)


if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):
        os.nice(5)
    sys.stdout.buffer.write(_serve(sys.stdin.buffer))
