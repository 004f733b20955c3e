"""Meshes and latents that a client sends -> `ObjectInput` and region, in bounded time and memory.

Each is read in a process of its own, in an empty folder, which ends where it takes more than it may. A file comes
alone: one that names other files, which would be this machine's, is refused. Importing what reading needs takes
seconds, so a process has it imported and forks those that read; there are two of these, so that a slow file does not
delay a quick one. Run as a program, this module is such a process:

    one line of JSON: the request, files in its folder   ->   `answer` in the folder, an empty line
    (the answer is an .npz of the latent, its place and the region, or one line of JSON: the error)
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import LifoQueue
from typing import IO, Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from kyvo.data.meshes.mesh_files import AssetError
from kyvo.data.meshes.named_files import self_contained
from kyvo.errors import KyvoError
from kyvo.files import write_bytes
from kyvo.models.slat.latent import StructuredLatent
from kyvo.pipelines.object_inputs import LatentKind, ObjectInput, read_object, read_region
from kyvo.serving.limits import Limits
from kyvo.shapes.mesh import CubeTransform

SUFFIXES = {"glb": ".glb", "ply": ".ply", "latent": ".npz"}  # by format
BUSY = 15  # times `mesh_seconds` that reading may take on the clock: the machine may have other work
READERS = 2  # files that are read at a time
ANSWER = "answer"


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
    with tempfile.TemporaryDirectory(prefix="kyvo-object-") as folder:
        paths = {role: Path(folder, f"the {role}{SUFFIXES[one.format]}") for role, one in files.items()}
        for role, one in files.items():
            paths[role].write_bytes(one.content)
        request = {
            "folder": folder,
            "kind": asdict(kind),
            "paths": {role: path.name for role, path in paths.items()},
            "up_axes": {role: one.up_axis for role, one in files.items()},
            "seconds": limits.mesh_seconds,
            "memory": limits.mesh_memory,
        }
        reader = _IDLE.get()
        try:
            reader.read(request, seconds=BUSY * limits.mesh_seconds)
        finally:
            _IDLE.put(reader)
        answer = Path(folder, ANSWER)
        if not answer.is_file():
            raise _too_much(limits)
        content = answer.read_bytes()
    if content.startswith(b"{"):
        raise AssetError(json.loads(content)["error"])
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return _unpack(found, kind)


class _Reader:
    """A process that forks those that read, from the first request on. For one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, request: Mapping[str, Any], *, seconds: float) -> None:
        """Returns when the request's answer is written or its reader has ended, after `seconds` at the latest."""
        if self._process is None or self._process.poll() is not None:
            self._process = _start()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(seconds, os.killpg, [process.pid, signal.SIGKILL])
        late.start()
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            if not process.stdout.readline():
                process.wait()
        except BrokenPipeError:
            process.wait()
        finally:
            late.cancel()


# The last one that was used comes first: another starts only where two files are read at once.
_IDLE: LifoQueue[_Reader] = LifoQueue()
for _ in range(READERS):
    _IDLE.put(_Reader())


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        start_new_session=True,  # so that it ends together with those that it forked
    )


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
        place = CubeTransform.of(center=found["center"], size=float(found["size"]), turn=found["turn"])
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

        last = int(sum(os.times()[:2]) + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (last, last))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def read_files(paths: Mapping[str, Path], kind: LatentKind, up_axes: Mapping[str, str | None]) -> bytes:
    """What the files hold, or what is wrong with them."""
    try:
        with self_contained():
            item = read_object(paths["object"], kind, up_axis=up_axes["object"])
            region = read_region(paths["mask"], item, up_axis=up_axes["mask"]) if "mask" in paths else None
    except KyvoError as error:
        return json.dumps({"error": str(error)}).encode()
    except MemoryError:
        return json.dumps({"error": "the file takes more memory to read than it may. Reduce the mesh."}).encode()
    return _pack(item, region)


def _answer(request: Mapping[str, Any]) -> None:
    """Reads the files of one request in this process, and ends it."""
    code = 1
    try:
        with contextlib.suppress(AttributeError, OSError):
            os.nice(5)
        os.chdir(request["folder"])
        _limit(request["seconds"], request["memory"])
        paths = {role: Path(name) for role, name in request["paths"].items()}
        write_bytes(ANSWER, read_files(paths, LatentKind(**request["kind"]), request["up_axes"]))
        code = 0
    finally:
        os._exit(code)


def _serve(requests: IO[bytes], ended: IO[bytes]) -> None:
    """Forks a process for each request, until the other side is gone."""
    while line := requests.readline():
        child = os.fork() if sys.platform == "linux" else 0  # elsewhere libraries may not survive it: this one reads
        if child == 0:
            _answer(json.loads(line))
        os.waitpid(child, 0)
        ended.write(b"\n")
        ended.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
