"""Training data of shape tokenizers: a folder of latent files, read one by one as they are needed.

Meshes are made such files once; a file that is there is not made again, so a stopped run goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kyvo.errors import ConfigError, KyvoError
from kyvo.models.slat.latent import StructuredLatent
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.mesh import load_shape
from kyvo.shapes.training_meshes import draw_mesh

MESH_SUFFIXES = {".glb", ".gltf", ".obj", ".ply"}


@dataclass(frozen=True, kw_only=True)
class LatentFolder(Sequence[StructuredLatent]):
    """The latents of some files, in their order; nothing is held."""

    paths: tuple[Path, ...]
    resolution: int

    @classmethod
    def of(cls, folder: Path, *, resolution: int) -> "LatentFolder":
        """All `.npz` of a folder and the folders in it, by name. Raises ConfigError where there are none."""
        paths = tuple(sorted(folder.rglob("*.npz")))
        if not paths:
            raise ConfigError(f"{folder} has no .npz of a latent; a folder of meshes is given as such (--data).")
        return cls(paths=paths, resolution=resolution)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> StructuredLatent:  # type: ignore[override]
        return StructuredLatent.load(self.paths[index], resolution=self.resolution)


def mesh_paths(folder: Path) -> list[Path]:
    """The mesh files of a folder and of those in it, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MESH_SUFFIXES)


def write_mesh_latents(folder: Path, out: Path, *, resolution: int, workers: int = 1) -> list[str]:
    """Surface features of each mesh of `folder`, as `out/<its path>.npz`; returns what was wrong with which file."""
    paths = mesh_paths(folder)
    if not paths:
        raise ConfigError(f"{folder} has no mesh; known are {', '.join(sorted(MESH_SUFFIXES))}.")
    jobs = [(partial(load_shape, path), out / f"{path.relative_to(folder)}.npz") for path in paths]
    return list(_write(jobs, resolution=resolution, workers=workers))


def write_drawn_latents(out: Path, *, count: int, seed: int, resolution: int, workers: int = 1) -> list[str]:
    """Surface features of `count` procedural meshes, as `out/000000.npz` and on."""
    jobs = [(partial(draw_mesh, seed=seed, index=index), out / f"{index:06}.npz") for index in range(count)]
    return list(_write(jobs, resolution=resolution, workers=workers))


def _write(jobs: list[tuple[Callable, Path]], *, resolution: int, workers: int) -> Iterator[str]:
    left = [job for job in jobs if not job[1].exists()]
    for folder in {path.parent for _, path in left}:
        folder.mkdir(parents=True, exist_ok=True)
    write = partial(_write_one, resolution=resolution)
    if workers == 1:
        yield from filter(None, map(write, left))
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from filter(None, pool.map(write, left, chunksize=8))


def _write_one(job: tuple[Callable, Path], *, resolution: int) -> str | None:
    make, path = job
    try:
        surface_latent(make(), resolution=resolution).save(path)
    except KyvoError as error:
        return f"{path.stem}: {error}"
    return None
